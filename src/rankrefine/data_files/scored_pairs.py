"""Sentence pairs with human scores, as development data and tasks have them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rankrefine.data_files import tables
from rankrefine.data_files.columns import Column, number, text
from rankrefine.errors import UserError

PAIR = ("sentence1", "sentence2")


def read(files: Sequence[Path], optional: Mapping[str, Column] | None = None) -> dict[str, list[Any]]:
    """Return the columns `sentence1`, `sentence2` and `score` (finite floats) of a split, and optional ones.

    Raises:
        UserError: as `tables.read`; or all scores are equal, so that no rank correlation is defined.
    """
    columns = tables.read(files, {**dict.fromkeys(PAIR, text), "score": number}, optional)
    if len(set(columns["score"])) == 1:
        count, score = len(columns["score"]), columns["score"][0]
        raise UserError(f"{tables.names(files)}: all {count} scores are {score:g}; rank correlation is undefined.")
    return columns
