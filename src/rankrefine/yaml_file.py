"""YAML and JSON as data. A key that appears twice in one mapping is an error; the libraries would drop the first."""

import json
import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from rankrefine.errors import UserError, reason

IMPLICIT = ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")  # the keys `<<` and `=`, which have no value


def find(name: str, folder: Path, key: str, kind: str, others: str = "") -> Path:
    """Return the file of the shipped `name` in `folder`, or `name` itself if it is a path to a YAML file.

    Args:
        key: of the configuration, whose value is `name`.
        kind: what the files are.
        others: further values of the key, for the message.

    Raises:
        UserError: there is no such file.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not os.path.isfile(path):  # also False for a name that no file system can hold
        known = others + ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise UserError(f"{key}: there is no {kind} '{name}'; use {known}, or the path of a .yaml file.")
    return path


def parse(content: bytes, name: str | Path) -> Any:
    """Parse the content of the file `name`: as JSON if it is JSON, else as YAML, which is what Snakemake does.

    Raises:
        UserError: not UTF-8, not YAML, or a key twice in one mapping.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 (byte {error.start}); save it as UTF-8.") from error
    try:
        return parse_json(text)
    except RepeatedKey:
        text = text.replace("\t", " ")  # the loader below names the lines, but refuses tabs; JSON strings have none
    except (ValueError, RecursionError):
        pass
    try:
        return yaml.load(text, _Loader)
    except RepeatedKey as error:
        raise UserError(f"{name}: {error}; keep one.") from error
    # PyYAML also passes on Python's own errors about dates, numbers of 5000 digits and deep nesting
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        message = reason(error).replace('in "<unicode string>", line', "in line")
        raise UserError(f"{name} is not valid YAML: {message}.") from error


def parse_json(text: str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: not JSON, or a key twice in one object (`RepeatedKey`).
        RecursionError: nested too deep.
    """
    return json.loads(text, object_pairs_hook=_unique)


class RepeatedKey(ValueError):
    """A key appears twice in one mapping."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        raise RepeatedKey(f"key '{next(key for key in keys if keys.count(key) > 1)}' appears twice")
    return mapping


class _Loader(yaml.SafeLoader):
    """Safe YAML loader that refuses a repeated key, and adds the line to Python's errors about dates and numbers."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}  # of each key; checked here, before the keys of `<<` are merged into the node
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            value, line = key.value if key.tag in IMPLICIT else self.construct_object(key), key.start_mark.line + 1
            if not isinstance(value, Hashable):  # refused when the mapping is built, as are keys that are no scalars
                continue
            if value in lines:
                first = lines[value]
                where = f"line {first} and line {line}" if first < line else f"line {line}"
                raise RepeatedKey(f"key '{key.value}' appears twice, in {where}")
            lines[value] = line
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error
