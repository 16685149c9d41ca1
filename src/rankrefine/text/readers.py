"""Streaming readers for text, CSV, TSV, JSON lines and parquet.

Each reader takes a path, a column (None for every text in the file, which decontamination needs) and `lists`, True
if the values of the column may be lists.
"""

import csv
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rankrefine.errors import UserError, reason

BATCH = 10_000  # rows of a parquet file in memory


def sentences(path: Path, column: str, split: str) -> Iterator[str | None]:
    """Yield the raw texts of one source in file order; None for a missing value.

    Args:
        path: a file, or a folder with one parquet file per split.
        column: column or key of the text; ignored for a .txt file.
        split: name of the split; ignored for a file.

    Raises:
        UserError: unknown extension, missing split or column, not UTF-8, or a malformed row.
    """
    path = _file(path, split)
    return _reader(path)(path, column)


def values(path: Path, column: str, split: str) -> Iterator[Any]:
    """Yield the values of one column in file order: text, lists (JSON lines and parquet), None for a missing value.

    Raises:
        UserError: as `sentences`; a .txt file, which has no columns.
    """
    path = _file(path, split)
    reader = _reader(path)
    if reader is _lines:
        raise UserError(f"{path} has no column '{column}': a .txt file has no columns.")
    return reader(path, column, lists=True)


def everything(*paths: Path) -> Iterator[str]:
    """Yield all texts of all columns and splits of evaluation sets.

    Raises:
        UserError: as `sentences`.
    """
    for path in paths:
        for file in _splits(path).values() if path.is_dir() else [path]:
            yield from filter(None, _reader(file)(file, None))


def _file(path: Path, split: str) -> Path:
    """Return `path` itself if it is a file, else its file of the split."""
    if not path.is_dir():
        return path
    splits = _splits(path)
    if split not in splits:
        raise UserError(f"{path} has no split '{split}'; available splits: {', '.join(splits) or 'none'}.")
    return splits[split]


def _splits(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in sorted(folder.glob("*.parquet"))}


def _reader(path: Path) -> Callable[..., Iterator[Any]]:
    try:
        return READERS[path.suffix.lower()]
    except KeyError:
        raise UserError(f"{path} has an unknown extension; use one of {', '.join(READERS)}.") from None


def _lines(path: Path, _: str | None = None) -> Iterator[str]:
    """Yield lines of UTF-8 text without line ends and byte order mark. Only a newline ends a line."""
    offset = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                text = line.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                where = f"line {number}, byte {offset + error.start}"
                raise UserError(f"{path} is not UTF-8 ({where}); save it as UTF-8.") from error
            yield text.removeprefix("\ufeff") if number == 1 else text
            offset += len(line)


def _table(path: Path, column: str | None, lists: bool = False, **form: Any) -> Iterator[str]:
    """Yield the values of a column, or of all columns, of a table with a header line."""
    lines = (line + "\n" for line in _lines(path))
    rows = csv.reader(lines, strict=True, **form)
    try:
        header = next(rows, None)
        if header is None:
            return
        place = None if column is None else _index(column, header, path)
        for row in rows:
            if len(row) != len(header) and row:
                where = f"{path}, line {rows.line_num}"
                raise UserError(f"{where} has {len(row)} fields, but the header has {len(header)}.")
            yield from row if place is None else row[place : place + 1]
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num} is malformed ({error}); check its quotation marks.") from error


def _json_lines(path: Path, column: str | None, lists: bool = False) -> Iterator[Any]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()  # a lone surrogate is valid JSON but not valid text
        except (ValueError, RecursionError) as error:  # RecursionError: thousands of nested levels
            raise UserError(f"{path}, line {number} is not valid JSON ({error}).") from error
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number} is not a JSON object.")
        if column is None:
            yield from _strings(row)
            continue
        _index(column, list(row), f"{path}, line {number}")
        if not lists and not isinstance(row[column], str | None):
            raise UserError(f"{path}, line {number}: the value of '{column}' is not text.")
        yield row[column]


def _parquet(path: Path, column: str | None, lists: bool = False) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        if column is not None:
            _index(column, file.schema_arrow.names, path)
            kind = file.schema_arrow.field(column).type
            if not _is_text(kind, lists):
                expected = "text or lists" if lists else "text"
                raise UserError(f"{path}: the column '{column}' must contain {expected}, but its type is {kind}.")
        for batch in file.iter_batches(BATCH, columns=None if column is None else [column]):
            for values in batch.columns:
                yield from values.to_pylist() if column is not None else _strings(values.to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is corrupt or not a parquet file ({reason(error)}).") from error


def _is_text(kind: Any, lists: bool) -> bool:
    """Return True for a pyarrow type of text, or of lists if `lists` is True."""
    import pyarrow.types as types

    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return lists
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _index(column: str, columns: list[str], where: Path | str) -> int:
    if column not in columns:
        raise UserError(f"{where} has no column '{column}'; available columns: {', '.join(columns)}.")
    return columns.index(column)


def _strings(value: Any) -> Iterator[str]:
    """Yield all strings in nested lists and dictionaries."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


READERS: dict[str, Callable[..., Iterator[Any]]] = {
    ".txt": _lines,
    ".csv": _table,
    # without quoting, so that a lone quotation mark in a sentence does not swallow the lines that follow
    ".tsv": partial(_table, delimiter="\t", quoting=csv.QUOTE_NONE),
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
