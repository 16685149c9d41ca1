"""Read and check the data of tasks: scored pairs, queries with candidates, texts with a class."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from rankrefine.data_files import scored_pairs, splits, tables
from rankrefine.data_files.columns import label, subset, text, texts
from rankrefine.errors import UserError, about

Files = Sequence[Path]  # of one split

WHOLE = "all"  # name of the whole task in the score table, so not of a subset
SUBSETS = ("subset", "genre")  # alternative names of the column with a pair's subset


def split_files(task: str, split: str, path: Path) -> list[Path]:
    """Return the files of the split in a data folder, or the data file itself.

    Raises:
        UserError: as `splits.files`.
    """
    with about(f"{task} needs the split {split}"):
        return splits.files(path, split)


def needs_folder(task: str, required: Sequence[str], path: Path) -> UserError:
    """Return the error for a single file in place of a folder."""
    names = ", ".join(required)
    return UserError(f"{task} requires {names}, but {path} is a single file; use a folder with all of them.")


def pairs(files: Files) -> pa.Table:
    """Read scored sentence pairs: `sentence1`, `sentence2`, `score` (double) and, if the data have it, `subset`.

    Raises:
        UserError: as `scored_pairs.read`; or a subset has the name of the whole task.
    """
    columns = scored_pairs.read(files, dict.fromkeys(SUBSETS, subset))
    found = [columns.pop(name, None) for name in SUBSETS]
    if part := next(filter(None, found), None):
        columns["subset"] = [name or "" for name in part]
        if WHOLE in part:
            row = part.index(WHOLE) + 1
            raise UserError(
                f"{tables.names(files)}, row {row}: the subset '{WHOLE}' is a name reserved for all pairs."
            )
    return pa.table(columns)


def reranking(files: Files) -> pa.Table:
    """Read queries with candidates: `query` (text), `positive` and `negative` (lists of texts, none empty).

    Raises:
        UserError: as `tables.read`.
    """
    return pa.table(tables.read(files, {"query": text, "positive": texts, "negative": texts}))


def labelled(files: Files, columns: tuple[str, ...]) -> pa.Table:
    """Read texts with a class: text `columns`, and `label` (text, integer or truth value).

    Raises:
        UserError: as `tables.read`; or some labels are text and others are numbers.
    """
    rows = tables.read(files, {**dict.fromkeys(columns, text), "label": label})
    kinds = sorted({type(value).__name__ for value in rows["label"]})
    if len(kinds) > 1:
        raise UserError(f"{tables.names(files)}: the labels are of several types ({', '.join(kinds)}); use one.")
    return pa.table(rows)
