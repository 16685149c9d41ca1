"""Work folder of a training: survives a kill, and is used again only by a training with identical inputs."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.errors import DeadEnd, UserError
from rankrefine.locks import locked


@contextmanager
def work_folder(path: Path, inputs: dict[str, Any]) -> Iterator[Path]:
    """Reuse the work folder of an interrupted training with identical `inputs` (JSON values), or create a new one.

    The folder is removed after success, after a `DeadEnd`, and after any other `UserError` if it has no checkpoint.

    Raises:
        InUse: another process uses the folder.
    """
    file, text = path / "inputs.json", json.dumps(inputs, sort_keys=True)
    with locked(path):
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            shutil.rmtree(path, ignore_errors=True)
            io.write_text(file, text)
        try:
            yield path
        except UserError as error:  # e.g. a full disk: the next attempt resumes from the checkpoint
            if isinstance(error, DeadEnd) or not any(path.glob("checkpoint-*")):
                shutil.rmtree(path, ignore_errors=True)
            raise
        shutil.rmtree(path, ignore_errors=True)


def best_model(path: Path, step: int) -> Path:
    """Return the folder in `path` for the model of `step`, if its development score was the best at that time."""
    return path / f"best-{step}"
