"""Flags of a command from the source of its function `run`: names, annotations, defaults and the docstring's `Args:`.

The source is parsed and not imported, so that `--help` does not load torch.
"""

import ast
import re
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2]
TYPES = {"str": str, "int": int, "float": float, "Path": Path}
CONFIG = "dict[str, Any]"  # annotation of a configuration; its flag takes a file or inline JSON


def read(module: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """Return the summary of the function `run` of a module, and its flags: name -> arguments of `add_argument`.

    The flag of a parameter has hyphens instead of underscores. It is required without a default or `| None`.
    """
    body = ast.parse(SOURCE.joinpath(*module.split(".")).with_suffix(".py").read_bytes()).body
    run = next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == "run")
    docstring = ast.get_docstring(run) or ""
    described, arguments = _descriptions(docstring), run.args
    parameters = [*arguments.args, *arguments.kwonlyargs]
    required = [None] * (len(arguments.args) - len(arguments.defaults))
    defaults = [*required, *arguments.defaults, *arguments.kw_defaults]
    flags = {
        f"--{node.arg.replace('_', '-')}": _options(ast.unparse(node.annotation), default, described.get(node.arg, ""))
        for node, default in zip(parameters, defaults, strict=True)
    }
    return docstring.partition("\n")[0], flags


def _options(annotation: str, default: ast.expr | None, description: str) -> dict[str, Any]:
    """Return the arguments of `argparse.ArgumentParser.add_argument` for a parameter."""
    text = description.replace("%", "%%")
    if annotation == "bool":
        return {"action": "store_true", "help": text}
    if annotation == CONFIG:
        text = f"{text.removesuffix('.')} (default: config.yaml)."
        return {"default": "config.yaml", "metavar": "FILE|JSON", "help": text}
    kind = annotation.removesuffix(" | None")
    options = {"required": default is None and kind == annotation, "default": _value(default), "help": text}
    if kind.startswith("Literal["):
        return options | {"choices": list(ast.literal_eval(kind.removeprefix("Literal")))}
    if match := re.fullmatch(r"list\[(\w+)\]", kind):
        return options | {"nargs": "*", "type": TYPES[match[1]]}
    return options | {"type": TYPES[kind]}


def _value(node: ast.expr | None) -> Any:
    """Return the value of a default: a literal, or a call such as Path("results")."""
    if isinstance(node, ast.Call):
        return TYPES[ast.unparse(node.func)](*map(ast.literal_eval, node.args))
    return None if node is None else ast.literal_eval(node)


def _descriptions(docstring: str) -> dict[str, str]:
    """Return the entries of the section `Args:` of a docstring, by parameter name."""
    section = re.split(r"\n(?=\S)", docstring.partition("\nArgs:\n")[2])[0]
    entries = re.findall(r"^ {4}(\w+(?:, \w+)*):(.*(?:\n(?: {8}.*)?)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}
