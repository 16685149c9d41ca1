"""Manifests of models and data sets: path, revision, and the SHA-256 of every file.

Commands receive the manifests of their models and data sets. Refined encoders have one, too, so that all models are
evaluated in the same way.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rankrefine import io
from rankrefine.errors import UserError


@dataclass(frozen=True)
class Manifest:
    """A model or data set on disk."""

    source: str  # source string of the config, or a name for a product of the run
    kind: str  # "model" or "dataset"
    revision: str  # package and version, hub commit, or digest of the files
    path: Path  # folder to open, or for a local data file the file
    files: dict[str, str]  # SHA-256 of each file by its name relative to `path`


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
    paths = [manifest.path, *(manifest.path / name for name in manifest.files if manifest.path.is_dir())]
    if missing := next((file for file in paths if not file.exists()), None):
        raise UserError(f"{path} refers to {missing}, which does not exist; delete the manifest and run again.")
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
        source, kind: See `Manifest`.
        path: A folder or a single file.
        revision: Revision (default: digest of all file names and hashes).
        files: Files to include (default: all that are not hidden).
    """
    path = Path(path)
    files = sorted(io.visible(path) if files is None else files)
    hashes = {file.relative_to(path).as_posix() if file != path else path.name: io.sha256(file) for file in files}
    digest = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:40]
    written = Manifest(source, kind, revision or digest, path, hashes)
    io.write_json(manifest, vars(written) | {"path": path.as_posix()})
    return written
