"""The reference configuration, written from the schema: `config.yaml` and the table of docs/configuration.md.

python -m rankrefine config > config.yaml
python -m rankrefine config --markdown
"""

from __future__ import annotations

import textwrap
from typing import Any

import yaml as pyyaml

from rankrefine.config import load as config

_HEADER = """\
# rankrefine configuration: every key with its default. Written by `python -m rankrefine config`; a test holds it
# against src/rankrefine/config/schema.yaml. Keys that are left out take their default, so your own file needs only
# what differs: snakemake --cores all --configfile mine.yaml
# Threads, memory, partitions and GPUs are no keys here: see workflow/profiles.
"""
_WIDTH = 117


def yaml() -> str:
    """The text of config.yaml: a comment above each key says what it is, its range, and what a change runs again."""
    lines = [_HEADER]
    for name, node in config.schema()["properties"].items():
        if "properties" not in node:
            lines += [*_comment(node, ""), _entry(name, node["default"], ""), ""]
            continue
        lines += [*_comment(node, ""), f"{name}:"]
        for key, leaf in node["properties"].items():
            lines += [*_comment(leaf, "  "), _entry(key, leaf["default"], "  ")]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def markdown() -> str:
    """A table of all keys: default, allowed values, the rules that a change plans, description."""
    rows = ["| key | default | allowed | runs again from | what it is |", "|---|---|---|---|---|"]
    for key, leaf in config.leaves():
        default = (
            pyyaml.safe_dump(leaf["default"], default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
        )
        cells = [
            f"`{key}`",
            f"`{default}`",
            _allowed(leaf),
            ", ".join(leaf["x-reruns"]) or "nothing",
            leaf["description"],
        ]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _comment(node: dict[str, Any], indent: str) -> list[str]:
    allowed = _allowed(node)
    text = " ".join(node["description"].split()) + (f" [{allowed}]" if allowed else "")
    if "x-reruns" in node:
        text += f" Runs again from: {', '.join(node['x-reruns']) or 'nothing'}."
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _entry(key: str, default: Any, indent: str) -> str:
    """`key: default` as YAML; a list of mappings takes one line an item."""
    if isinstance(default, list) and default and isinstance(default[0], dict):
        items = [
            pyyaml.safe_dump(item, default_flow_style=True, sort_keys=False, width=1000).strip() for item in default
        ]
        return "\n".join([f"{indent}{key}:", *(f"{indent}  - {item}" for item in items)])
    text = pyyaml.safe_dump({key: default}, sort_keys=False, allow_unicode=True, width=1000)
    return textwrap.indent(text.strip(), indent)


def _allowed(node: dict[str, Any]) -> str:
    """The range or choice of a leaf in words; of a number or a list of such, that of the number."""
    if "anyOf" in node:
        return _allowed(node["anyOf"][0])
    if "enum" in node:
        return ", ".join(node["enum"])
    if "items" in node and "enum" in node["items"]:
        return f"any of {_allowed(node['items'])}"
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    return ", ".join(f"{word} {node[key]}" for key, word in words.items() if key in node)
