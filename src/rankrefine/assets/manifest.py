"""Manifests of models and data sets: path, revision, and the SHA-256 of every file.

Commands receive the manifests of their models and data sets. Refined encoders have one, too, so that all models are
evaluated in the same way.
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
        source: Source string of the config, or a name for a product of the run.
        kind: "model" or "dataset".
        revision: Package and version, hub commit, or digest of the files.
        path: Folder to open, or for a local data file the file.
        files: SHA-256 of each file by its name relative to `path`.
    """

    source: str
    kind: str
    revision: str
    path: Path
    files: dict[str, str]


def load_manifest(path: str | Path) -> Manifest:
    """Read a manifest and check that its files exist.

    Raises:
        UserError: the manifest is missing or damaged, or a file does not exist.
    """
    fields = io.read_json(path)
    names = Manifest.__dataclass_fields__
    if not isinstance(fields, dict) or set(fields) != set(names):
        raise UserError(f"{path} is not a manifest (keys {', '.join(names)}); delete it and run again.")
    manifest = Manifest(**fields | {"path": Path(fields["path"])})
    if missing := [str(file) for file in _paths(manifest) if not file.exists()]:
        raise UserError(f"{path} refers to {missing[0]}, which does not exist; delete the manifest and run again.")
    return manifest


def write_manifest(
    manifest: str | Path,
    *,
    source: str,
    kind: str,
    path: str | Path,
    revision: str | None = None,
    files: Iterable[Path] | None = None,
) -> Manifest:
    """Hash the files of `path` and write the manifest.

    Args:
        manifest: JSON file to write, outside of `path`.
        source: Source string, or a name for a product of the run.
        kind: "model" or "dataset".
        path: A folder or a single file.
        revision: Revision (default: digest of all file names and hashes).
        files: Files to include (default: all that are not hidden).
    """
    path = Path(path)
    files = sorted(visible(path) if files is None else files)
    hashes = {_name(file, path): io.sha256(file) for file in files}
    written = Manifest(source, kind, revision or _digest(hashes), path, hashes)
    io.write_json(manifest, vars(written) | {"path": path.as_posix()})
    return written


def visible(path: Path) -> list[Path]:
    """Return the files below a folder, sorted, without hidden files and folders; `path` itself if it is a file."""
    if path.is_file():
        return [path]
    files = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts))


def _name(file: Path, path: Path) -> str:
    return path.name if file == path else file.relative_to(path).as_posix()


def _paths(manifest: Manifest) -> list[Path]:
    """Return the files of a manifest, or its path if it has none."""
    path = manifest.path
    return [path / name if path.is_dir() else path for name in manifest.files] or [path]


def _digest(hashes: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:40]
