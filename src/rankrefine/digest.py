"""Digest of the code that a stage depends on, for Snakemake's params.

The digest covers the syntax trees, without docstrings, of every module inside `rankrefine` that the given module
imports, directly or not, at any depth of nesting. So a comment, a docstring or formatting changes nothing, and a
shared module that changes reruns whoever imports it. Standard library only.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def code(module: str) -> str:
    """Digest of `module` (dotted, e.g. "rankrefine.seeds.run") and its import closure inside the package."""
    hasher = hashlib.sha256()
    for name in sorted(closure(module)):
        hasher.update(f"{name}\0{_read(_file(name))[0]}\0".encode())
    return hasher.hexdigest()[:16]


def closure(module: str) -> set[str]:
    """Names of all modules of the package that `module` imports, itself included."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or _file(name) is None:
            continue
        seen.add(name)
        waiting += _imports(name)
        waiting.append(name.rpartition(".")[0])  # importing a.b runs a/__init__.py
    seen.discard(PACKAGE.name)  # holds the version alone, and a release must not rerun everything
    return seen


def _file(name: str) -> Path | None:
    parts = name.split(".")
    if parts[0] != PACKAGE.name:
        return None
    path = PACKAGE.joinpath(*parts[1:])
    return next((p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()), None)


def _imports(name: str) -> list[str]:
    found = []
    for node in _read(_file(name))[1]:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif node.level == 0 and node.module:
            # `from package import module` and `from module import function` look alike: try both
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@cache
def _read(path: Path) -> tuple[str, list[ast.Import | ast.ImportFrom]]:
    """A module as `_dump` has it, and its import statements at any depth; in one go, for every cluster job waits."""
    imports: list[ast.Import | ast.ImportFrom] = []
    return _dump(ast.parse(path.read_bytes()), imports), imports


def _dump(node: object, imports: list[ast.Import | ast.ImportFrom]) -> str:
    """A syntax tree as text that is the same under every Python version: `ast.dump` shows fields that come and go.

    Fields that are None or empty are left out, which is what a new field of a later version is in older code; so are
    docstrings.
    """
    if isinstance(node, ast.AST):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
        parts = []
        for name in node._fields:
            value = getattr(node, name, None)
            if name == "body" and isinstance(node, DOCUMENTED) and value and _is_docstring(value[0]):
                value = value[1:]
            if value is not None and value != []:
                parts.append(f"{name}={_dump(value, imports)}")
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, list):
        return "[" + ",".join([_dump(item, imports) for item in node]) + "]"
    return repr(node)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
