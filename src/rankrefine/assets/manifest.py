"""The manifest of a model or data set: where it lies, which revision it is, and the SHA-256 of every file.

Who needs an asset is given its manifest. Refined encoders get one too, so that evaluation reads all models alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rankrefine import io
from rankrefine.errors import UserError


@dataclass(frozen=True)
class Manifest:
    """A model or data set on disk.

    Attributes:
        source: the source string of the config, or a name for what the project made itself.
        kind: "model" or "dataset".
        revision: package and version, hub commit, or digest of the files.
        path: the folder (or, for a local data file, the file) to open.
        files: SHA-256 of each file by its name relative to `path`.
    """

    source: str
    kind: str
    revision: str
    path: Path
    files: dict[str, str]


def load_manifest(path: str | Path) -> Manifest:
    """Read a manifest and check that what it points at is still there.

    Raises:
        UserError: the manifest is missing or damaged, or the folder or file it names is gone.
    """
    fields = io.read_json(path)
    names = Manifest.__dataclass_fields__
    if not isinstance(fields, dict) or set(fields) != set(names):
        raise UserError(f"{path} is not a manifest (keys {', '.join(names)}); delete it and run again.")
    found = Manifest(**fields | {"path": Path(fields["path"])})
    if missing := [str(file) for file in _paths(found) if not file.exists()]:
        raise UserError(f"{path} points at {missing[0]}, which does not exist; delete the manifest and run again.")
    return found


def write_manifest(
    manifest: str | Path,
    *,
    source: str,
    kind: str,
    path: str | Path,
    revision: str | None = None,
    files: Iterable[Path] | None = None,
) -> Manifest:
    """Hash the files of `path` and write the manifest, atomically.

    Args:
        manifest: the JSON file to write; it must not lie inside `path`.
        source: the source string, or a name for what the project made itself.
        kind: "model" or "dataset".
        path: a folder or one file.
        revision: left out, it is the digest of all file names and hashes.
        files: which files belong to it (default: all that are not hidden).
    """
    path = Path(path)
    files = sorted(visible(path) if files is None else files)
    hashes = {_name(file, path): io.sha256(file) for file in files}
    found = Manifest(source, kind, revision or _digest(hashes), path, hashes)
    io.write_json(manifest, vars(found) | {"path": path.as_posix()})
    return found


def visible(path: Path) -> list[Path]:
    """`path` itself if it is a file, else the files below it, sorted; hidden files and folders do not count."""
    if path.is_file():
        return [path]
    found = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))


def _name(file: Path, path: Path) -> str:
    return path.name if file == path else file.relative_to(path).as_posix()


def _paths(found: Manifest) -> list[Path]:
    """All files of a manifest; a data file stands for itself."""
    return [found.path / name if found.path.is_dir() else found.path for name in found.files] or [found.path]


def _digest(hashes: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:40]
