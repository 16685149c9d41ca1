"""Schema of the configuration: keys, defaults, ranges, and the rules that read each key.

Imports no heavy library: the Snakefile imports this package in every cluster job.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from rankrefine import yaml_file

FILE = Path(__file__).with_name("schema.yaml")


@cache
def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) with its `$ref` resolved. Do not modify it."""
    content = yaml_file.parse(FILE.read_bytes(), FILE)
    return _resolved(content, content.pop("$defs"))


def _resolved(node: Any, definitions: dict[str, Any]) -> Any:
    """Replace each `$ref` by its definition; keys beside the `$ref` override those of the definition."""
    if isinstance(node, list):
        return [_resolved(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    definition = definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else {}
    return {key: _resolved(value, definitions) for key, value in (definition | node).items() if key != "$ref"}


def leaves(node: dict[str, Any] | None = None, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield all leaves of the schema as (dotted key, schema of the leaf)."""
    for key, child in (node or schema())["properties"].items():
        if "properties" in child:
            yield from leaves(child, f"{prefix}{key}.")
        else:
            yield prefix + key, child


def reruns(leaf: dict[str, Any]) -> list[str]:
    """Return the rules that a change of a leaf reruns, without the early check, which reruns nothing else."""
    return [rule for rule in (*leaf.get("x-plans", ()), *leaf.get("x-reads", ())) if rule != "check"]
