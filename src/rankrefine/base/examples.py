"""Training data of the base encoder: columns that the objective names in its row of `OBJECTIVES`."""

from pathlib import Path
from typing import Any

from rankrefine.base.objectives import OBJECTIVES
from rankrefine.data_files import splits, tables
from rankrefine.data_files.columns import Column, Unfit, filled_text, number
from rankrefine.errors import UserError, about

SPLIT = "train"


def read(objective: str, path: Path) -> dict[str, list[Any]]:
    """Read columns `anchor` and `positive`, and where the objective uses them `negative` (may be None) and `score`.

    `path` is a file, or a folder with a split train. Of single sentences, anchor and positive are the same column, and
    duplicates are dropped.

    Raises:
        UserError: a column is missing or has gaps, a score is not in 0..1, or there are fewer than two examples.
    """
    spec = OBJECTIVES[objective]
    with about("base.data"):
        if spec.required == ("text",):
            sentences = (sentence.strip() for sentence in tables.sentences(path, "text", SPLIT) if sentence)
            distinct = list(dict.fromkeys(filter(None, sentences)))
            columns = dict.fromkeys(("anchor", "positive"), distinct)
        else:
            columns = tables.read(splits.files(path, SPLIT), _types(spec.required), _types(spec.optional))
        if (count := len(columns["anchor"])) < 2:
            raise UserError(f"{path} has {count} usable rows; a batch needs at least 2.")
    return columns


def _types(names: tuple[str, ...]) -> dict[str, Column]:
    return {name: _share if name == "score" else filled_text for name in names}


def _share(value: Any, typed: bool) -> float:
    """Return a number from 0 to 1."""
    score = number(value, typed)
    if not 0 <= score <= 1:
        raise Unfit(f"is {score:g}, but must be from 0 to 1; divide the column by its range")
    return score
