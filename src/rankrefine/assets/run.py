"""Fetch a model or data set and write its manifest: `python -m rankrefine asset --source … --kind … --manifest …`.

Embedded, hub and GGUF sources become a folder of our own; any other local source stays where it is. The manifest comes
last, so that a manifest always stands for a whole asset.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from rankrefine import io, sources
from rankrefine.assets import local
from rankrefine.assets.manifest import write_manifest
from rankrefine.errors import UserError

log = logging.getLogger(__name__)


def run(source: str, kind: Literal["model", "dataset"], folder: Path | None, manifest: Path) -> None:
    """Fetch `source` to `folder` (not needed for what stays where it is) and write `manifest`.

    Raises:
        UserError: unknown source, no network, or files that are not what they should be.
    """
    parsed = sources.parse(source, kind, "--source")
    if parsed.form == "local":
        path, revision = Path(source), None
        local.check(path, kind)
        files = [Path(file) for file in parsed.files]
    elif folder is None:
        raise UserError(f"--folder is missing: {source} needs a folder to be written to.")
    else:
        path, files = folder, None
        revision = _fetch(parsed, folder)
    written = write_manifest(manifest, source=source, kind=kind, path=path, revision=revision, files=files)
    log.info("%s: %s files, revision %s, in %s", source, len(written.files), written.revision, written.path)


def _fetch(source: sources.Source, folder: Path) -> str:
    """Fill `folder`, all or nothing, and return the revision."""
    with io.atomic(folder) as aside:
        if source.form == "embedded":
            from rankrefine.assets import embedded

            return embedded.fetch(source.name, aside)
        if source.form == "gguf":
            from rankrefine.assets import convert

            aside.mkdir(parents=True)
            convert.gguf(Path(source.text), aside)
            return io.sha256(source.text)
        from rankrefine.assets import hub

        return hub.fetch(source, aside, resume=folder.with_name(f".{folder.name}.download"))
