"""The private folder of a training, which survives a kill and belongs to one training only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.errors import DeadEnd, UserError


@contextmanager
def folder(path: Path, made_by: dict[str, Any]) -> Iterator[Path]:
    """The folder that a killed training of the same making left at `path`, else a new one.

    It is gone after success, after a `DeadEnd`, and where no checkpoint is worth keeping.

    Args:
        path: Where it is.
        made_by: All that the training's result depends on.
    """
    note, text = path / "made_by.json", json.dumps(made_by, sort_keys=True)
    if not note.is_file() or note.read_text(encoding="utf-8") != text:
        shutil.rmtree(path, ignore_errors=True)
        io.write_text(note, text)
    try:
        yield path
    except UserError as error:  # a full disk, say: what is finished waits for the next attempt
        if isinstance(error, DeadEnd) or not any(path.glob("checkpoint-*")):
            shutil.rmtree(path, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)


def best(path: Path, step: int) -> Path:
    """Folder in `path` of the model after `step`, where that was the best so far."""
    return path / f"best-{step}"
