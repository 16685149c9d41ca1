"""Reference configuration, written from the schema: `config.yaml` and the table of docs/configuration.md.

python -m rankrefine config > config.yaml
python -m rankrefine config --markdown
"""

import sys
import textwrap
from typing import Any

import yaml

from rankrefine.config.messages import BOUNDS
from rankrefine.config.schema import leaves, reruns, schema

_HEADER = """\
# rankrefine configuration: all keys with their defaults, written by `make reference` from the schema
# (src/rankrefine/config/schema.yaml). Keys that are left out take their default, so a file of your own needs only what
# differs: snakemake --cores all --configfile mine.yaml
# Threads, memory, partitions and GPUs are not configuration: see workflow/profiles.
"""
_WIDTH = 117


def run(markdown: bool = False) -> None:
    """Print the reference configuration.

    Args:
        markdown: Print a Markdown table instead of YAML.
    """
    sys.stdout.write(as_markdown() if markdown else as_yaml())


def as_yaml() -> str:
    """Return the text of config.yaml: above each key a comment with its description, range, and what it reruns."""
    lines = [_HEADER]
    for name, node in schema()["properties"].items():
        lines += [*_comment(node, ""), f"{name}:" if "properties" in node else _entry(name, node["default"], "")]
        for key, leaf in node.get("properties", {}).items():
            lines += [*_comment(leaf, "  "), _entry(key, leaf["default"], "  ")]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def as_markdown() -> str:
    """Return a table of all keys: default, allowed values, rules that a change reruns, description."""
    rows = ["| key | default | allowed | reruns from | description |", "|---|---|---|---|---|"]
    for key, leaf in leaves():
        default = yaml.safe_dump(leaf["default"], default_flow_style=True, width=10_000).removesuffix("\n...\n")
        rules = ", ".join(reruns(leaf)) or "nothing"
        cells = [f"`{key}`", f"`{default.strip()}`", _allowed(leaf), rules, leaf["description"]]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _comment(node: dict[str, Any], indent: str) -> list[str]:
    allowed = _allowed(node)
    text = " ".join(node["description"].split()) + (f" [{allowed}]" if allowed else "")
    if "properties" not in node:
        text += f" Reruns from: {', '.join(reruns(node)) or 'nothing'}."
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _entry(key: str, default: Any, indent: str) -> str:
    """Return `key: default` as YAML, with one line per item for a list of mappings."""
    if isinstance(default, list) and default and isinstance(default[0], dict):
        items = (yaml.safe_dump(item, default_flow_style=True, sort_keys=False, width=1000) for item in default)
        return "\n".join([f"{indent}{key}:", *(f"{indent}  - {item.strip()}" for item in items)])
    text = yaml.safe_dump({key: default}, sort_keys=False, allow_unicode=True, width=1000)
    return textwrap.indent(text.strip(), indent)


def _allowed(node: dict[str, Any]) -> str:
    """Return the range or the choices of a leaf in words; for alternatives those of the first."""
    if "anyOf" in node:
        return _allowed(node["anyOf"][0])
    if "enum" in node:
        return ", ".join(node["enum"])
    if "items" in node and "enum" in node["items"]:
        return f"any of {_allowed(node['items'])}"
    return ", ".join(f"{words} {node[bound]}" for bound, words in BOUNDS.items() if bound in node)
