"""MTEB's tasks: MTEB computes the scores, and loads data that are not tables of pairs or queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from rankrefine.assets.manifest import Manifest
from rankrefine.assets.mteb import known_task
from rankrefine.errors import UserError
from rankrefine.evaluate import data_tables, mteb_data, mteb_scores
from rankrefine.evaluate.prepared import Kind, PreparedTask, on_tables
from rankrefine.evaluate.tasks.task import Result, Task

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask
    from sentence_transformers import SentenceTransformer


class MtebTask(Task):
    """A text task of MTEB, on a table or on the files of its repository on the hub."""

    def prepare(self, data: Manifest) -> tuple[PreparedTask, str]:
        task = known_task(self.name)
        _check(task)
        evaluated, origin = {split: [] for split in task.eval_splits}, (data.source, data.revision)
        prepared = PreparedTask(self.name, self.module, "mteb", evaluated, data.path, data.files, 0, *origin)
        if kind := _table_kind(task, data):
            (split,) = evaluated
            files = data_tables.split_files(self.name, split, data.path)
            folder = data.path.parent if data.path.is_file() else data.path
            prepared = replace(prepared, kind=kind, **on_tables({split: files}, folder))
        elif data.path.is_file():
            raise data_tables.needs_folder(self.name, ["the files of its repository on the hub"], data.path)
        units, unit = mteb_data.size(mteb_data.open_task(prepared), prepared.kind)
        if units == 0:
            raise UserError(f"{prepared.path} contains no data for {self.name} ({', '.join(evaluated)}).")
        return replace(prepared, units=units), unit

    def texts(self, prepared: PreparedTask) -> Iterator[str]:
        return mteb_data.texts(mteb_data.open_task(prepared))

    def evaluate(self, encoder: SentenceTransformer, prepared: PreparedTask) -> Result:
        return Result(*mteb_scores.evaluate(encoder, mteb_data.open_task(prepared)))


TASK = MtebTask


def _check(task: AbsTask) -> None:
    """Check that the task is about text, and if it is an STS task that it has a single split."""
    from mteb.abstasks import AbsTaskSTS

    name, modalities = task.metadata.name, list(task.metadata.modalities)
    if modalities != ["text"]:
        raise UserError(f"{name} is about {', '.join(modalities)}; only tasks about text alone are supported.")
    if isinstance(task, AbsTaskSTS) and len(task.eval_splits) > 1:
        # the mean over validation and test would include the data that the best training step is chosen on
        splits = " and ".join(task.eval_splits)
        raise UserError(f"{name} is the mean over the splits {splits}; use a task with a single split.")


def _table_kind(task: AbsTask, data: Manifest) -> Kind | None:
    """Return the kind of a table with the task's data, or None if MTEB must open the data itself."""
    from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS

    if len(task.eval_splits) > 1 or task.metadata.is_multilingual:
        return None
    kind = "pairs" if isinstance(task, AbsTaskSTS) else "reranking" if isinstance(task, AbsTaskRetrieval) else None
    # a README is that of the repository on the hub, which MTEB opens, unless a table in our form lies beside it
    has_table = (data.path / f"{task.eval_splits[0]}.parquet").is_file()
    return kind if has_table or not (data.path / "README.md").is_file() else None
