"""Digests of a stage's code, for Snakemake's params: a change of the code reruns the stage.

A digest covers a module and all modules of `rankrefine` that it imports, directly or indirectly, at any depth of
nesting. It is computed from syntax trees without docstrings, so comments, docstrings and formatting do not count.
Standard library only.
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
    """Return the digest of a module (dotted, such as "rankrefine.seeds.run") and its import closure in the package."""
    hasher = hashlib.sha256()
    for name in sorted(closure(module)):
        hasher.update(f"{name}\0{_read(_file(name))[0]}\0".encode())
    return hasher.hexdigest()[:16]


def closure(module: str) -> set[str]:
    """Return the names of all modules of the package that `module` imports, including itself."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or _file(name) is None:
            continue
        seen.add(name)
        waiting += _imports(name)
        waiting.append(name.rpartition(".")[0])  # importing a.b runs a/__init__.py
    seen.discard(PACKAGE.name)  # contains only the version: a release must not rerun everything
    return seen


def _file(name: str) -> Path | None:
    parts = name.split(".")
    if parts[0] != PACKAGE.name:
        return None
    path = PACKAGE.joinpath(*parts[1:])
    return next((p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()), None)


def _imports(name: str) -> list[str]:
    names = []
    for node in _read(_file(name))[1]:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif node.level == 0 and node.module:
            # a name may be a module (`from package import module`) or not (`from module import function`): try both
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


@cache
def _read(path: Path) -> tuple[str, list[ast.Import | ast.ImportFrom]]:
    """Return the `_dump` of a module and its import statements, in one pass, because every cluster job does this."""
    imports: list[ast.Import | ast.ImportFrom] = []
    return _dump(ast.parse(path.read_bytes()), imports), imports


def _dump(node: object, imports: list[ast.Import | ast.ImportFrom]) -> str:
    """Return a syntax tree as text that does not depend on the Python version, unlike that of `ast.dump`.

    Docstrings are left out, and so are fields that are None or empty: fields that newer versions add are empty in
    older code. Import statements are appended to `imports`.
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
