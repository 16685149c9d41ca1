"""Load a configuration: read YAML, validate against the schema, fill in defaults."""

import re
from pathlib import Path
from typing import Any

from rankrefine import yaml_file
from rankrefine.config import cross_field
from rankrefine.config.messages import sentence, unusable
from rankrefine.config.schema import schema
from rankrefine.errors import UserError, reason


def load(text_or_path: str) -> dict[str, Any]:
    """Return the completed configuration from a YAML file, or from inline JSON as the workflow's rules pass it.

    Inline JSON is a part of a configuration that the Snakefile has validated; cross-field checks do not apply to it.

    Raises:
        UserError: no such file, not UTF-8, not YAML or JSON, or invalid (see `complete`).
    """
    if not text_or_path.startswith("{"):
        return complete(read(text_or_path), text_or_path)
    try:
        config = yaml_file.parse_json(text_or_path)
    except (ValueError, RecursionError) as error:
        raise UserError(f"--config is not valid JSON: {reason(error)}.") from error
    return _validated(config, "--config")


def read(path: str | Path) -> Any:
    """Return the content of a YAML or JSON file without validation; an empty mapping if the file is empty.

    Raises:
        UserError: no such file, not UTF-8, not YAML, or a key twice in one mapping.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"There is no configuration file {path}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    return yaml_file.parse(content, path) or {}


def complete(config: Any, origin: str = "config") -> dict[str, Any]:
    """Validate `config` and return a new dictionary with all defaults filled in.

    Raises:
        UserError: one sentence about the first invalid key; it begins with `origin`.
    """
    completed = _validated(config, origin)
    for name, changes in completed["refine"]["experiments"].items():
        for error in _errors(completed["refine"] | changes, schema()["properties"]["refine"]):
            raise UserError(f"{origin}: {sentence(error, f'refine.experiments.{name}')}")
    if problem := next(cross_field.problems(completed), None):
        raise UserError(f"{origin}: {problem}")
    return completed


def defaults() -> dict[str, Any]:
    """Return the configuration in which no key is set, without validation, which needs jsonschema."""
    return _fill({}, schema())


def _validated(config: Any, origin: str) -> dict[str, Any]:
    if problem := next(unusable(config), None):
        raise UserError(f"{origin}: {problem}")
    completed = _fill(config, schema())
    for error in _errors(completed, schema()):
        raise UserError(f"{origin}: {sentence(error)}")
    return completed


def _errors(value: Any, node: dict[str, Any]) -> list[Any]:
    """Return the errors of jsonschema, outermost first."""
    from jsonschema import Draft202012Validator, FormatChecker

    formats = FormatChecker([])

    # `re` raises further errors about numbers that are too large and about too many parentheses
    @formats.checks("regex", raises=(re.error, OverflowError, RecursionError))
    def is_regex(value: Any) -> bool:
        return not isinstance(value, str) or bool(re.compile(value))

    errors = Draft202012Validator(node, format_checker=formats).iter_errors(value)
    return sorted(errors, key=lambda error: (len(error.absolute_path), str(error.absolute_path)))


def _fill(value: Any, node: dict[str, Any], defaults: bool = True) -> Any:
    """Return `value` with the defaults of `node`; a value of the wrong type is left for the validator."""
    if isinstance(value, dict) and "properties" in node:
        filled = dict(value)
        for key, child in node["properties"].items():
            if key in filled:
                filled[key] = _fill(filled[key], child)
            elif defaults and "default" in child:
                filled[key] = _fill(child["default"], child)
        if isinstance(filled.get("experiments"), dict):  # an experiment has the keys of the section around it
            experiments = filled["experiments"].items()
            filled["experiments"] = {name: _fill(changes, node, defaults=False) for name, changes in experiments}
        return filled
    if isinstance(value, list) and "items" in node:
        return [_fill(item, node["items"]) for item in value]
    for alternative in node.get("anyOf", ()):
        value = _fill(value, alternative)
    # 2 and 2.0 are the same value: the spelling of a number must not rerun anything
    if node.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if node.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
