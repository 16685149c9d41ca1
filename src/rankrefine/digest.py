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


@cache
def code(module: str) -> str:
    """Digest of `module` (dotted, e.g. "rankrefine.seeds") and its import closure inside the package."""
    hasher = hashlib.sha256()
    for name in sorted(closure(module)):
        hasher.update(f"{name}\0{_normalised(_file(name))}\0".encode())
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


@cache
def _imports(name: str) -> tuple[str, ...]:
    found = []
    for node in ast.walk(_tree(_file(name))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # `from package import module` and `from module import function` look alike: try both
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(found)


@cache
def _normalised(path: Path) -> str:
    tree = _tree(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            if is_docstring and isinstance(first.value.value, str):
                node.body = node.body[1:]
    return _dump(tree)


def _dump(node: object) -> str:
    """A syntax tree as text that is the same under every Python version: `ast.dump` shows fields that come and go.

    Fields that are None or empty are left out, which is what a new field of a later version is in older code.
    """
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields)
        inner = ",".join(f"{name}={_dump(value)}" for name, value in fields if value is not None and value != [])
        return f"{type(node).__name__}({inner})"
    if isinstance(node, list):
        return "[" + ",".join(map(_dump, node)) + "]"
    return repr(node)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())
