"""Flags of a command from the source of its function `run`: names, annotations, defaults and the docstring's `Args:`.

The source is parsed and not imported, so that `--help` does not load torch.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2]
TYPES = {"str": str, "int": int, "float": float, "Path": Path}
CONFIG = "dict[str, Any]"  # annotation of a configuration; its flag takes a file or inline JSON
_ENTRY = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*)$")


@dataclass(frozen=True)
class Parameter:
    """One parameter of `run`.

    Attributes:
        name: Python name; the flag has hyphens instead of underscores.
        annotation: Source text of the annotation.
        required: Whether it has no default and does not allow None.
        default: Default value; None if there is none.
        help: Description from the docstring.
    """

    name: str
    annotation: str
    required: bool
    default: Any
    help: str

    @property
    def flag(self) -> str:
        """Name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `argparse.ArgumentParser.add_argument`."""
        text = self.help.replace("%", "%%")
        if self.annotation == "bool":
            return {"action": "store_true", "help": text}
        if self.annotation == CONFIG:
            return {
                "default": "config.yaml",
                "metavar": "FILE",
                "help": f"{text} YAML file or inline JSON (default: config.yaml).",
            }
        options: dict[str, Any] = {"required": self.required, "default": self.default, "help": text}
        kind = self.annotation.removesuffix(" | None")
        if kind.startswith("Literal["):
            return options | {"choices": list(ast.literal_eval(kind.removeprefix("Literal")))}
        if match := re.fullmatch(r"list\[(\w+)\]", kind):
            return options | {"nargs": "*", "type": TYPES[match[1]]}
        return options | {"type": TYPES[kind]}


def read(module: str) -> tuple[str, list[Parameter]]:
    """Return the summary and the parameters of the function `run` of a module of this package."""
    path = SOURCE.joinpath(*module.split(".")).with_suffix(".py")
    body = ast.parse(path.read_bytes()).body
    function = next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == "run")
    text = inspect.cleandoc(ast.get_docstring(function) or "")
    described = descriptions(text)
    given = function.args.args
    defaults = [None] * (len(given) - len(function.args.defaults)) + list(function.args.defaults)
    parameters = []
    for argument, default in zip(given, defaults, strict=True):
        annotation = ast.unparse(argument.annotation) if argument.annotation else "str"
        is_optional = default is not None or annotation.endswith("| None")
        value = _value(default)
        parameters.append(Parameter(argument.arg, annotation, not is_optional, value, described.get(argument.arg, "")))
    return text.partition("\n")[0], parameters


def descriptions(docstring: str) -> dict[str, str]:
    """Return the entries of the section `Args:` of a docstring, by parameter name."""
    found: dict[str, str] = {}
    names: list[str] = []
    section = docstring.partition("\nArgs:\n")[2]
    for line in re.split(r"\n(?=\S)", section)[0].splitlines():
        if entry := _ENTRY.match(line):
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, entry[2].strip())
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def _value(node: ast.expr | None) -> Any:
    """Value of a default: a literal, or a call such as Path("results")."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return TYPES[node.func.id](*map(ast.literal_eval, node.args))
    return None if node is None else ast.literal_eval(node)


def add(parser: argparse.ArgumentParser, parameters: list[Parameter]) -> None:
    """Add a flag for each parameter."""
    for parameter in parameters:
        parser.add_argument(parameter.flag, **parameter.options())
