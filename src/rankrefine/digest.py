"""Digests of a stage's code, for Snakemake's params: a change of the code reruns the stage.

A digest covers a module and all modules of `rankrefine` that it imports, directly or indirectly, at any depth of
nesting. It is computed from syntax trees without docstrings, so comments, docstrings and formatting do not count.
Standard library only.
"""

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
        if name not in seen and (file := _file(name)):
            seen.add(name)
            waiting += [*_read(file)[1], name.rpartition(".")[0]]  # importing a.b runs a/__init__.py
    return seen - {PACKAGE.name}  # contains only the version: a release must not rerun everything


def _file(name: str) -> Path | None:
    """Return the file of a module of the package; None for other names."""
    top, *parts = name.split(".")
    path = PACKAGE.joinpath(*parts)
    files = (path / "__init__.py", path.with_suffix(".py")) if top == PACKAGE.name else ()
    return next((file for file in files if file.is_file()), None)


@cache
def _read(path: Path) -> tuple[str, list[str]]:
    """Return the `_dump` of a module and the names it imports, in one pass, because every cluster job does this."""
    imports: list[str] = []
    return _dump(ast.parse(path.read_bytes()), imports), imports


def _dump(node: object, imports: list[str]) -> str:
    """Return a syntax tree as text that does not depend on the Python version, unlike that of `ast.dump`.

    Docstrings are left out, and so are fields that are None or empty: fields that newer versions add are empty in
    older code. Names of imported modules are appended to `imports`.
    """
    if isinstance(node, list):
        return "[" + ",".join([_dump(item, imports) for item in node]) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Import):
        imports += [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        # a name may be a module (`from package import module`) or not (`from module import function`): try both
        imports += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    parts = []
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "body" and isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            value = value[1:]
        if value is not None and value != []:
            parts.append(f"{name}={_dump(value, imports)}")
    return f"{type(node).__name__}({','.join(parts)})"
