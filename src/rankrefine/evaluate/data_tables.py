"""The tables of task folders, one parquet file per split, and what is refused in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rankrefine import io
from rankrefine.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

PAIR = ("sentence1", "sentence2")
RERANKING = ("query", "positive", "negative")
WHOLE = "all"  # the name of no subset
SUBSETS = ("subset", "genre")  # a column that says which part of the task a pair belongs to


def split_file(task: str, split: str, path: Path) -> Path:
    """The parquet file of the split in a data folder, or the data file itself.

    Raises:
        UserError: there is none.
    """
    file = path / f"{split}.parquet" if path.is_dir() else path
    if file.suffix == ".parquet" and file.is_file():
        return file
    found = sorted(p.name for p in path.glob("*.parquet")) if path.is_dir() else [path.name]
    raise UserError(
        f"{task} is evaluated on {split}.parquet, which {path} does not have; "
        f"there are: {', '.join(found) or 'no parquet files'}."
    )


def needs_folder(task: str, splits: Sequence[str], path: Path) -> str:
    """Why a single file will not do."""
    return f"{task} needs {', '.join(splits)}, but {path} is one file; name a folder with all of them."


def pairs(path: Path) -> pa.Table:
    """Scored sentence pairs: `sentence1`, `sentence2`, `score` (double) and, where the file has it, `subset`.

    Raises:
        UserError: a column is missing or of a wrong type, there are no rows, a value is missing, or all scores are
            equal (their rank correlation with anything is undefined).
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = _with_columns(path, (*PAIR, "score"), PAIR)
    kind = table.schema.field("score").type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise UserError(f"{path}: column score holds {kind} instead of numbers.")
    scores = table["score"].cast(pa.float64())
    _refuse_row(pc.invert(pc.fill_null(pc.is_finite(scores), False)), f"{path}: column score is not a number")
    if len(pc.unique(scores)) == 1:
        raise UserError(f"{path}: all {len(table)} scores are {scores[0].as_py()}; there is nothing to rank.")
    columns = {name: table[name] for name in PAIR} | {"score": scores}
    if part := next((name for name in SUBSETS if name in table.column_names), None):
        kind = table.schema.field(part).type
        if not (_is_text(kind) or pa.types.is_integer(kind)):
            raise UserError(f"{path}: column {part} holds {kind} instead of text.")
        columns["subset"] = pc.fill_null(table[part].cast(pa.string()), "")
        taken = pc.equal(columns["subset"], WHOLE)
        _refuse_row(taken, f"{path}: column {part} holds '{WHOLE}', which stands for all pairs")
    return pa.table(columns)


def reranking(path: Path) -> pa.Table:
    """Queries with their relevant and other texts: `query` (text), `positive` and `negative` (lists of texts).

    Raises:
        UserError: a column is missing or of a wrong type, there are no rows, or a query lacks a positive or negative.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = _with_columns(path, RERANKING, RERANKING[:1])
    for column in RERANKING[1:]:
        kind = table.schema.field(column).type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not _is_text(kind.value_type):
            raise UserError(f"{path}: column {column} holds {kind} instead of lists of texts.")
        lengths = pc.fill_null(pc.list_value_length(table[column]), 0)
        _refuse_row(pc.equal(lengths, 0), f"{path}: column {column} is empty")
        holes = pa.chunked_array([[None in (value or []) for value in table[column].to_pylist()]])
        _refuse_row(holes, f"{path}: column {column} holds an empty text")
    return table.select(RERANKING)


def labelled(path: Path, texts: tuple[str, ...]) -> pa.Table:
    """Texts with a class: the columns `texts` and `label` (text or whole number).

    Raises:
        UserError: a column is missing or of a wrong type, there are no rows, or a value is missing.
    """
    import pyarrow as pa

    table = _with_columns(path, (*texts, "label"), texts)
    kind = table.schema.field("label").type
    if not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise UserError(f"{path}: column label holds {kind} instead of text or whole numbers.")
    _refuse_row(table["label"].is_null(), f"{path}: column label is empty")
    return table.select([*texts, "label"])


def _with_columns(path: Path, columns: tuple[str, ...], texts: tuple[str, ...]) -> pa.Table:
    """The table, which has rows and all `columns`, of which `texts` hold text in every row."""
    table = io.read_table(path)
    for column in columns:
        if column not in table.column_names:
            raise UserError(f"{path} has no column {column}; there are: {', '.join(table.column_names)}.")
    if len(table) == 0:
        raise UserError(f"{path} has no rows.")
    for column in texts:
        kind = table.schema.field(column).type
        if not _is_text(kind):
            raise UserError(f"{path}: column {column} holds {kind} instead of text.")
        _refuse_row(table[column].is_null(), f"{path}: column {column} is empty")
    return table


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _refuse_row(bad: pa.ChunkedArray, what: str) -> None:
    """Raise for the first row (counted from 1) that is marked in `bad`."""
    rows = [number for number, is_bad in enumerate(bad.to_pylist(), start=1) if is_bad]
    if rows:
        raise UserError(f"{what} in row {rows[0]} ({len(rows)} such rows).")
