"""Stand-in for the package `datasets`, for tests on machines without it; this folder must be on sys.path.

The trainer of sentence-transformers refuses to start without `datasets`, but of it a training uses a table of columns
alone. The folder `datasets-0.dist-info` is how the trainer finds the package.
"""

from __future__ import annotations

from typing import Any

__version__ = "0"


class Dataset:
    """A table of columns; a row is a dictionary."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._columns = columns

    @classmethod
    def from_dict(cls, columns: dict[str, list[Any]]) -> Dataset:
        return cls(columns)

    @property
    def column_names(self) -> list[str]:
        return list(self._columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {name: values[row] for name, values in self._columns.items()}


class DatasetDict(dict):
    """Named in the trainer, not used."""


class IterableDataset(DatasetDict):
    """Named in the trainer, not used."""


class IterableDatasetDict(DatasetDict):
    """Named in the trainer, not used."""


class Sequence(DatasetDict):
    """Named in the trainer, not used."""


class Value(DatasetDict):
    """Named in the trainer, not used."""
