"""Interface of evaluation tasks, and the base class of those that read tables.

To add a task, write a module in this package with a subclass of `TableTask` named by its constant `TASK`, and add a
row to `OWN` in `rankrefine.evaluate.catalogue`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from rankrefine.assets.manifest import Manifest
from rankrefine.evaluate import data_tables
from rankrefine.evaluate.metric import Metric
from rankrefine.evaluate.prepared import Kind, PreparedTask, on_tables

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BATCH_SIZE = 32
Embed = Callable[[list[str]], np.ndarray]  # sentences to embeddings `[n, dim]`
Tables = dict[str, pa.Table]  # by split
Files = dict[str, list[Path]]  # by split


class Result(NamedTuple):
    """Metrics of an encoder on a task, and for MTEB's tasks its own files `result` and `model_meta`."""

    metrics: list[Metric]
    mteb: dict[str, Any] | None = None


class Task(ABC):
    """An evaluation task, without its data: those are named by a `PreparedTask`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.module = type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def prepare(self, data: Manifest) -> tuple[PreparedTask, str]:
        """Check the data, and return the prepared task and the name of its units.

        Raises:
            UserError: the task cannot be evaluated on these data.
        """

    @abstractmethod
    def texts(self, prepared: PreparedTask) -> Iterator[str]:
        """Yield all texts of the task.

        Raises:
            UserError: the data have changed since they were checked.
        """

    @abstractmethod
    def evaluate(self, encoder: SentenceTransformer, prepared: PreparedTask) -> Result:
        """Evaluate the encoder.

        Raises:
            UserError: the data have changed since they were checked, or the embeddings are not usable.
        """


def load(module: str, name: str) -> Task:
    """Return the task `name` from `module` in this package."""
    return import_module(f"{__package__}.{module}").TASK(name)


class TableTask(Task):
    """A task on tables, one per split, by default of scored sentence pairs."""

    kind: Kind = "pairs"

    def splits(self, path: Path) -> Sequence[str]:
        """Return the splits to read from the data at `path`."""
        return ["test"]

    def read(self, files: list[Path]) -> pa.Table:
        """Read and check the files of one split."""
        return data_tables.pairs(files)

    @abstractmethod
    def size(self, tables: Tables, files: Files) -> tuple[int, str]:
        """Return the number of units that are scored and their name; `files` are for messages.

        Raises:
            UserError: the labels or gold scores do not suit the task.
        """

    @abstractmethod
    def score(self, embed: Embed, tables: Tables) -> list[Metric]:
        """Return the metrics of the encoder."""

    def prepare(self, data: Manifest) -> tuple[PreparedTask, str]:
        splits = list(self.splits(data.path))
        if data.path.is_file() and len(splits) > 1:
            raise data_tables.needs_folder(self.name, splits, data.path)
        files = {split: data_tables.split_files(self.name, split, data.path) for split in splits}
        units, unit = self.size({split: self.read(parts) for split, parts in files.items()}, files)
        folder = data.path.parent if data.path.is_file() else data.path
        origin = {"units": units, "source": data.source, "revision": data.revision}
        return PreparedTask(self.name, self.module, self.kind, **on_tables(files, folder), **origin), unit

    def texts(self, prepared: PreparedTask) -> Iterator[str]:
        for table in self.tables(prepared).values():
            for column in text_columns(table):
                yield from column

    def evaluate(self, encoder: SentenceTransformer, prepared: PreparedTask) -> Result:
        options = {"batch_size": BATCH_SIZE, "show_progress_bar": False}
        return Result(self.score(lambda sentences: encoder.encode(sentences, **options), self.tables(prepared)))

    def tables(self, prepared: PreparedTask) -> Tables:
        """Read the files of each split, after comparing them with their hashes."""
        prepared.check_files()
        return {split: self.read(files) for split, files in prepared.split_files().items()}


def text_columns(table: pa.Table) -> list[list[str]]:
    """Return the columns that contain text to embed."""
    return [table[name].to_pylist() for name in table.column_names if name not in ("label", "score", "subset")]
