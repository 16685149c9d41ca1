"""Check a task and its data before any encoder is run: `python -m rankrefine task --task STSBenchmark …`.

The rule runs early in the workflow, so that a misspelt task name does not wait for the language model.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest
from rankrefine.assets.mteb import known_task
from rankrefine.errors import UserError
from rankrefine.evaluate import data_tables as tables
from rankrefine.evaluate import mteb_task as opened
from rankrefine.evaluate import own
from rankrefine.evaluate.catalogue import OWN

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask

log = logging.getLogger(__name__)


def run(task: str, data: Path, output: Path, key: str = "evaluate.tasks") -> None:
    """Write what is to be evaluated: {task, kind, splits, path, files, units, source, revision}.

    `kind` says how the data are opened: "pairs" and "reranking" are parquet files with documented columns, "mteb" is
    a folder that MTEB opens by itself, "own" a task of ours. `files` are the SHA-256 of the files.

    Args:
        task: MTEB's name of the task, or one of our own.
        data: Manifest of its data: a folder, or the file itself.
        output: JSON file to write.
        key: Of the config, which messages name.

    Raises:
        UserError: there is no such task, or its data do not fit.
    """
    try:
        prepared, what = _prepared(task, load_manifest(data))
    except UserError as error:
        raise UserError(f"{key}: {error}") from error
    io.write_json(output, prepared)
    splits = ", ".join(prepared["splits"])
    log.info("task %s: %d %s (%s) from %s.", task, prepared["units"], what, splits, prepared["path"])


def _prepared(task: str, manifest: Manifest) -> tuple[dict[str, Any], str]:
    """What `run` writes, and what the task's units are."""
    prepared = {"task": task, "source": manifest.source, "revision": manifest.revision}
    if task in OWN:
        files = own.files(task, manifest.path)
        prepared |= {"kind": "own", "splits": list(files)} | _pinned(manifest.path, list(files.values()))
    else:
        prepared |= _of_mteb(known_task(task), manifest.path, manifest.files)
    units, what = own.size(prepared) if task in OWN else opened.size(prepared)
    return prepared | {"units": units}, what


def _of_mteb(task: AbsTask, path: Path, files: dict[str, str]) -> dict[str, Any]:
    """How the data of an MTEB task are opened.

    Raises:
        UserError: the task is not about text, or there are no data for its splits.
    """
    from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS

    meta = task.metadata
    if list(meta.modalities) != ["text"]:
        raise UserError(f"{meta.name} is about {', '.join(meta.modalities)}, not about text alone.")
    found: dict[str, Any] = {"splits": list(task.eval_splits)}
    is_table = path.is_file() or any((path / f"{split}.parquet").is_file() for split in task.eval_splits)
    simple = len(task.eval_splits) == 1 and not meta.is_multilingual
    if not simple and isinstance(task, AbsTaskSTS) and len(task.eval_splits) > 1:
        # a mean over validation and test would count the data that chose the best training step
        raise UserError(
            f"{meta.name} is the mean over the splits {' and '.join(task.eval_splits)}; take a task of one split."
        )
    if simple and isinstance(task, AbsTaskSTS | AbsTaskRetrieval) and (is_table or not (path / "README.md").is_file()):
        file = tables.split_file(meta.name, task.eval_splits[0], path)
        kind, read = ("pairs", tables.pairs) if isinstance(task, AbsTaskSTS) else ("reranking", tables.reranking)
        read(file)
        return found | {"kind": kind} | _pinned(path, [file])
    if path.is_file():
        raise UserError(tables.needs_folder(meta.name, ["the files of its repository on the hub"], path))
    return found | {"kind": "mteb", "path": path.as_posix(), "files": files}


def _pinned(path: Path, files: list[Path]) -> dict[str, Any]:
    """Path and SHA-256 of the files."""
    folder = path.parent if path.is_file() else path
    return {
        "path": folder.as_posix(),
        "files": {file.relative_to(folder).as_posix(): io.sha256(file) for file in files},
    }
