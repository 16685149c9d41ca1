"""Check an MTEB task and its data before any encoder is run: `python -m rankrefine task --task STSBenchmark …`.

The rule runs early in the workflow, so that a misspelt task name does not wait for the language model.
"""

from __future__ import annotations

import logging
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.errors import UserError
from rankrefine.evaluate.offline import load_mteb

if TYPE_CHECKING:
    import pyarrow as pa
    from mteb.abstasks.abstask import AbsTask

log = logging.getLogger(__name__)


def run(task: str, data: Path, output: Path) -> None:
    """Write {task, split, path, rows, sha256, source, revision} for a task that can be evaluated.

    Args:
        task: MTEB's name of the task.
        data: Manifest of its data: a folder with one parquet file per split, or the file itself.
        output: JSON file to write.

    Raises:
        UserError: MTEB has no such task, it is no single-split, single-language STS task, or its data do not fit.
    """
    split = checked_split(task)
    manifest = load_manifest(data)
    path = _split_file(task, split, manifest.path)
    table = io.read_table(path)
    check_pairs(table, path)
    prepared = {"task": task, "split": split, "path": path.as_posix(), "rows": len(table), "sha256": io.sha256(path)}
    io.write_json(output, prepared | {"source": manifest.source, "revision": manifest.revision})
    log.info("task %s: %d pairs (split %s) from %s.", task, len(table), split, path)


def known_task(name: str) -> AbsTask:
    """MTEB's task of that name.

    Raises:
        UserError: MTEB has none; the nearest names are suggested.
    """
    mteb = load_mteb()
    try:
        return mteb.get_task(name)
    except KeyError as error:
        names = {task.metadata.name for task in mteb.get_tasks(exclude_superseded=False)}
        by_lower = {known.lower(): known for known in sorted(names)}
        near = [by_lower[match] for match in get_close_matches(name.lower(), by_lower, 3, 0.5)]
        hint = f"did you mean {' or '.join(near)}?" if near else "see mteb.get_tasks() for all names."
        raise UserError(f"evaluate.tasks: MTEB has no task '{name}'; {hint}") from error


def checked_split(name: str) -> str:
    """The split that MTEB evaluates the task on.

    Raises:
        UserError: the task is unknown, no STS task, has several languages, or several splits.
    """
    task = known_task(name)
    from mteb.abstasks import AbsTaskSTS

    meta = task.metadata
    refused = f"evaluate.tasks: this version evaluates STS tasks of one language and one split only, and {name}"
    if not isinstance(task, AbsTaskSTS):
        raise UserError(f"{refused} is of the type {meta.type}.")
    if meta.main_score != "cosine_spearman" or list(meta.modalities) != ["text"]:
        raise UserError(f"{refused} is scored by {meta.main_score} on {', '.join(meta.modalities)}.")
    if meta.is_multilingual:
        raise UserError(f"{refused} has {len(meta.hf_subsets)} language subsets.")
    if len(task.eval_splits) != 1:
        # a mean over validation and test would count the data that chose the best training step
        raise UserError(f"{refused} is the mean over the splits {' and '.join(task.eval_splits)}.")
    return task.eval_splits[0]


def check_pairs(table: pa.Table, path: Path) -> None:
    """Refuse what is no table of scored sentence pairs.

    Raises:
        UserError: a column is missing or of a wrong type, there are no rows, a value is missing, or all scores are
            equal (their rank correlation with anything is undefined).
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in ("sentence1", "sentence2", "score"):
        if column not in table.column_names:
            raise UserError(f"{path} has no column {column}; there are: {', '.join(table.column_names)}.")
    if len(table) == 0:
        raise UserError(f"{path} has no rows.")
    for column in ("sentence1", "sentence2"):
        kind = table.schema.field(column).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UserError(f"{path}: column {column} holds {kind} instead of text.")
        _refuse_row(table[column].is_null(), f"{path}: column {column} is empty")
    kind = table.schema.field("score").type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise UserError(f"{path}: column score holds {kind} instead of numbers.")
    scores = table["score"].cast(pa.float64())
    _refuse_row(pc.invert(pc.fill_null(pc.is_finite(scores), False)), f"{path}: column score is not a number")
    if len(pc.unique(scores)) == 1:
        raise UserError(f"{path}: all {len(table)} scores are {scores[0].as_py()}; there is nothing to rank.")


def _refuse_row(bad: pa.ChunkedArray, what: str) -> None:
    """Raise for the first row (counted from 1) that is marked in `bad`."""
    rows = [number for number, is_bad in enumerate(bad.to_pylist(), start=1) if is_bad]
    if rows:
        raise UserError(f"{what} in row {rows[0]} ({len(rows)} such rows).")


def _split_file(task: str, split: str, path: Path) -> Path:
    """The parquet file of the split in a data folder.

    Raises:
        UserError: there is none.
    """
    file = path / f"{split}.parquet" if path.is_dir() else path
    if file.suffix == ".parquet" and file.is_file():
        return file
    found = sorted(p.name for p in path.glob("*.parquet")) if path.is_dir() else [path.name]
    raise UserError(
        f"evaluate.tasks: {task} is evaluated on {split}.parquet, which {path} does not have; "
        f"there are: {', '.join(found) or 'no parquet files'}."
    )
