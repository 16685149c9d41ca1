"""Read and check the parquet files of tasks, one per split."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from rankrefine import io
from rankrefine.errors import UserError

PAIR = ("sentence1", "sentence2")
RERANKING = ("query", "positive", "negative")
WHOLE = "all"  # name of the whole task in the score table, so not of a subset
SUBSETS = ("subset", "genre")  # alternative names of the column with a pair's subset


def split_file(task: str, split: str, path: Path) -> Path:
    """Return the parquet file of the split in a data folder, or the data file itself.

    Raises:
        UserError: it does not exist.
    """
    file = path / f"{split}.parquet" if path.is_dir() else path
    if file.suffix == ".parquet" and file.is_file():
        return file
    present = sorted(p.name for p in path.glob("*.parquet")) if path.is_dir() else [path.name]
    raise UserError(
        f"{task} is evaluated on {split}.parquet, which does not exist in {path}; "
        f"found: {', '.join(present) or 'no parquet files'}."
    )


def needs_folder(task: str, required: Sequence[str], path: Path) -> UserError:
    """Return the error for a single file in place of a folder."""
    names = ", ".join(required)
    return UserError(f"{task} requires {names}, but {path} is a single file; use a folder with all of them.")


def pairs(path: Path) -> pa.Table:
    """Read scored sentence pairs: `sentence1`, `sentence2`, `score` (double) and, if the file has it, `subset`.

    Raises:
        UserError: a column is missing or has a wrong type, there are no rows, a value is missing, or all scores are
            equal, so that rank correlation is undefined.
    """
    table = _with_columns(path, (*PAIR, "score"), PAIR)
    _check_type(path, table, "score", "numbers", types.is_floating, types.is_integer)
    scores = table["score"].cast(pa.float64())
    _check_rows(pc.invert(pc.fill_null(pc.is_finite(scores), False)), f"{path}: column score is not a number")
    if len(pc.unique(scores)) == 1:
        raise UserError(f"{path}: all {len(table)} scores are {scores[0].as_py()}; rank correlation is undefined.")
    columns = {name: table[name] for name in PAIR} | {"score": scores}
    if part := next((name for name in SUBSETS if name in table.column_names), None):
        _check_type(path, table, part, "text", _is_text, types.is_integer)
        columns["subset"] = pc.fill_null(table[part].cast(pa.string()), "")
        reserved = pc.equal(columns["subset"], WHOLE)
        _check_rows(reserved, f"{path}: column {part} is '{WHOLE}', a name reserved for all pairs,")
    return pa.table(columns)


def reranking(path: Path) -> pa.Table:
    """Read queries with candidates: `query` (text), `positive` and `negative` (lists of texts).

    Raises:
        UserError: a column is missing or has a wrong type, there are no rows, or a query lacks a positive or negative.
    """
    table = _with_columns(path, RERANKING, RERANKING[:1])
    for column in RERANKING[1:]:
        _check_type(path, table, column, "lists of texts", _is_texts)
        lengths = pc.fill_null(pc.list_value_length(table[column]), 0)
        _check_rows(pc.equal(lengths, 0), f"{path}: column {column} is empty")
        has_null = pa.chunked_array([[None in (value or []) for value in table[column].to_pylist()]])
        _check_rows(has_null, f"{path}: column {column} contains a missing text")
    return table.select(RERANKING)


def labelled(path: Path, texts: tuple[str, ...]) -> pa.Table:
    """Read texts with a class: the columns `texts` and `label` (text or integer).

    Raises:
        UserError: a column is missing or has a wrong type, there are no rows, or a value is missing.
    """
    table = _with_columns(path, (*texts, "label"), texts)
    _check_type(path, table, "label", "text or integers", _is_text, types.is_integer, types.is_boolean)
    _check_rows(table["label"].is_null(), f"{path}: column label is empty")
    return table.select([*texts, "label"])


def _with_columns(path: Path, columns: tuple[str, ...], texts: tuple[str, ...]) -> pa.Table:
    """Read a table, and check that it has rows, all `columns`, and text in every row of the columns `texts`."""
    table = io.read_table(path)
    for column in columns:
        if column not in table.column_names:
            raise UserError(f"{path} has no column {column}; found: {', '.join(table.column_names)}.")
    if len(table) == 0:
        raise UserError(f"{path} has no rows.")
    for column in texts:
        _check_type(path, table, column, "text", _is_text)
        _check_rows(table[column].is_null(), f"{path}: column {column} is empty")
    return table


def _is_text(dtype: pa.DataType) -> bool:
    return types.is_string(dtype) or types.is_large_string(dtype)


def _is_texts(dtype: pa.DataType) -> bool:
    return (types.is_list(dtype) or types.is_large_list(dtype)) and _is_text(dtype.value_type)


def _check_type(path: Path, table: pa.Table, column: str, expected: str, *checks: Callable[..., bool]) -> None:
    """Raise a UserError if the type of a column passes none of the checks."""
    dtype = table.schema.field(column).type
    if not any(check(dtype) for check in checks):
        raise UserError(f"{path}: column {column} has type {dtype}, but must contain {expected}.")


def _check_rows(bad: pa.ChunkedArray, problem: str) -> None:
    """Raise a UserError if a row is marked in `bad`; rows are counted from 1."""
    if rows := [number for number, is_bad in enumerate(bad.to_pylist(), start=1) if is_bad]:
        raise UserError(f"{problem} in row {rows[0]} ({len(rows)} such rows).")
