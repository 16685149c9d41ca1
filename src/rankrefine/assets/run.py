"""Fetch a model or data set and write its manifest.

Embedded, hub and GGUF sources are written to a folder of the run; other local sources are used in place. The manifest
is written last, so that its existence implies a complete asset.
"""

import logging
from pathlib import Path
from typing import Literal

from rankrefine import io, sources
from rankrefine.assets import convert, embedded, hub, local
from rankrefine.assets.manifest import write_manifest
from rankrefine.errors import UserError

log = logging.getLogger(__name__)


def run(source: str, kind: Literal["model", "dataset"], folder: Path | None, manifest: Path) -> None:
    """Fetch a model or data set and write its manifest.

    Args:
        source: embedded:NAME, hub:ORG/NAME@REVISION[#SUBSET], mteb:TASK, or a local file or folder.
        kind: Kind of the source.
        folder: Folder to write (required for all but local sources).
        manifest: Manifest (JSON) to write.

    Raises:
        UserError: the source is unknown, there is no network, or the files fail a check.
    """
    parsed = sources.parse(source, kind, "--source")
    if parsed.form == "local":
        local.check(Path(source), kind)
        path, revision, files = Path(source), None, [Path(file) for file in parsed.files]
    elif folder is None:
        raise UserError(f"--folder is required for {source}.")
    else:
        path, revision, files = folder, _fetch(parsed, folder), None
    written = write_manifest(manifest, source=source, kind=kind, path=path, revision=revision, files=files)
    log.info("%s: %s files, revision %s, in %s", source, len(written.files), written.revision, written.path)


def _fetch(source: sources.Source, folder: Path) -> str:
    """Write the folder atomically and return the revision."""
    with io.atomic(folder) as temporary:
        if source.form == "embedded":
            return embedded.fetch(source.name, temporary)
        if source.form == "gguf":
            temporary.mkdir(parents=True)
            convert.gguf(Path(source.text), temporary)
            return io.sha256(source.text)
        return hub.fetch(source, temporary, resume=folder.with_name(f".{folder.name}.download"))
