"""Readers of one file each: text, CSV, TSV, JSON and Arrow, compressed or not, in bounded memory.

A reader takes a file and `Columns`, and yields (place, values): "line 1" or "row 1", and the values of these columns.
Without `Columns` the values are those of all columns.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from rankrefine.data_files.lines import lines_of
from rankrefine.data_files.splits import extension
from rankrefine.errors import UserError, reason

Rows = Iterator[tuple[str, Sequence[Any]]]

BATCH = 10_000  # rows of an Arrow file in memory
LARGEST_CELL = 2**25  # characters of a cell of a CSV file; a quotation mark that nothing closes ends here


class Columns(NamedTuple):
    """Names of columns, or numbers from 1 on in a table without a header. A missing optional one has values None."""

    required: list[str] | list[int]
    optional: tuple[str, ...] = ()

    def present(self, names: Iterable[str]) -> list[str]:
        """Return those of the columns that are among the names."""
        found = set(names)
        return [*self.required, *(name for name in self.optional if name in found)]

    def check(self, names: list[Any], where: str) -> None:
        """Refuse a header in which a column is missing or occurs twice."""
        for name in self.required:
            if name not in names:
                raise UserError(f"{where} has no column '{name}'; available columns: {', '.join(map(str, names))}.")
        for name in (*self.required, *self.optional):
            if names.count(name) > 1:
                places = " and ".join(str(place) for place, other in enumerate(names, start=1) if other == name)
                raise UserError(f"{where} has several columns '{name}' (columns {places}); rename one.")

    def places(self, names: list[str]) -> list[int | None]:
        """Return the place of each column among the names; None for one that is missing."""
        return [names.index(name) if name in names else None for name in (*self.required, *self.optional)]


@dataclass(frozen=True)
class Format:
    """A file format: its reader, whether values have types or are all text, and whether it has columns."""

    rows: Callable[[Path, Columns | None], Rows]
    typed: bool = True
    columns: bool = True


def format_of(file: Path) -> Format:
    """Return the format of a file by its extension.

    Raises:
        UserError: the extension is unknown.
    """
    try:
        return FORMATS[extension(file)]
    except KeyError:
        known = ", ".join(FORMATS)
        raise UserError(f"{file} has an unknown extension; use one of {known}.") from None


def _text(file: Path, columns: Columns | None) -> Rows:
    """Yield the lines of a text file, whatever the columns."""
    for number, line in lines_of(file):
        yield f"line {number}", [line]


def _csv(file: Path, columns: Columns | None) -> Rows:
    lines = (line for _, line in lines_of(file))
    first = next(lines, "")
    delimiter = ";" if ";" in first and "," not in first else ","  # as Excel writes it where a comma is in numbers
    return _table(file, chain([first], lines), columns, delimiter=delimiter)


def _tsv(file: Path, columns: Columns | None) -> Rows:
    # pandas, R and Excel quote cells, but many files have lone quotation marks that swallow the lines that follow
    is_quoted = _is_quoted(line for _, line in lines_of(file))
    form = {"delimiter": "\t", "quoting": csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE}
    # a row of too many cells has row names only where the tabs inside of cells are quoted
    return _table(file, (line for _, line in lines_of(file)), columns, has_row_names=is_quoted, **form)


def _table(
    file: Path, lines: Iterable[str], columns: Columns | None, has_row_names: bool = False, **form: Any
) -> Rows:
    """Yield the rows of a table with a header line, or without one if the columns are numbers."""
    csv.field_size_limit(LARGEST_CELL)
    rows = csv.reader((line + "\n" for line in lines), strict=True, **form)
    try:
        header = next(filter(None, rows), None)
        if header is None:
            return
        has_header = columns is None or not any(isinstance(name, int) for name in columns.required)
        first = next(filter(None, rows), None) if has_header else header
        header = header if has_header else [*range(1, len(first) + 1)]
        if first and len(first) == len(header) + 1 and has_row_names:
            header.insert(0, "")  # R gives the column of row names no name
        if columns is not None:
            columns.check(header, str(file))
            places = columns.places(header)
        for row in chain([first] if first else [], filter(None, rows)):
            if len(row) != len(header):
                where = f"{file}, line {rows.line_num}"
                counts = f"{len(row)} fields, but the header has {len(header)}"
                raise UserError(f"{where} has {counts}; put cells that contain the separator in quotation marks.")
            values = row if columns is None else [None if place is None else row[place] for place in places]
            yield f"line {rows.line_num}", values
    except csv.Error as error:
        raise UserError(f"{file}, line {rows.line_num} is malformed ({error}); check its quotation marks.") from error


def _is_quoted(lines: Iterable[str]) -> bool:
    """Return True if all quotation marks of a TSV belong to quoted cells, as those of a program that quotes do."""
    cell = r'(?:"[^"]*+(?:""[^"]*+)*+"|[^"\t]*+)'
    row = re.compile(rf"{cell}(?:\t{cell})*+")
    record, marks, size = [], 0, 0  # lines of an open cell
    for line in lines:
        if not record and '"' not in line:
            continue
        record.append(line)
        marks, size = marks + line.count('"'), size + len(line)
        if size > LARGEST_CELL:
            return False
        if marks % 2 == 0:
            if not row.fullmatch("\n".join(record)):
                return False
            record, marks, size = [], 0, 0
    return not record


def _json(file: Path, columns: Columns | None) -> Rows:
    """Yield the objects of a JSON array, as pandas writes it, or those of JSON lines with the extension .json."""
    lines = (line for _, line in lines_of(file))
    first = next(filter(str.strip, lines), "")
    if not first.lstrip().startswith("["):
        yield from _json_lines(file, columns)
        return
    for number, row in enumerate(_parsed("\n".join([first, *lines]), str(file), columns), start=1):
        yield f"row {number}", _values(row, f"{file}, row {number}", columns)


def _json_lines(file: Path, columns: Columns | None) -> Rows:
    for number, line in lines_of(file):
        if line.strip():
            where = f"{file}, line {number}"
            yield f"line {number}", _values(_parsed(line, where, columns), where, columns)
        del line  # not in memory while the next one is read


def _parsed(text: str, where: str, columns: Columns | None) -> Any:
    wanted = columns.present(columns.optional) if columns else []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in wanted:
            if names.count(name) > 1:
                raise UserError(f"{where} has the key '{name}' twice; keep one.")
        return dict(pairs)

    try:
        # counting first, because the hook halves the speed
        is_suspect = any(text.count(json.dumps(name)) > 1 for name in wanted)
        value = json.loads(text, object_pairs_hook=unique if is_suspect else None)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is valid JSON but not valid text
    except (ValueError, RecursionError) as error:  # RecursionError: thousands of nested levels
        raise UserError(f"{where} is not valid JSON ({reason(error)}); write one object per line.") from error
    return value


def _values(row: Any, where: str, columns: Columns | None) -> Sequence[Any]:
    if not isinstance(row, dict):
        raise UserError(f"{where} is not a JSON object.")
    if columns is None:
        return list(row.values())
    columns.check(list(row), where)
    return [row.get(name) for name in (*columns.required, *columns.optional)]


def _parquet(file: Path, columns: Columns | None) -> Rows:
    import pyarrow.parquet as pq

    def batches() -> Iterator[Any]:
        with pq.ParquetFile(file) as table:
            yield table.schema_arrow.names
            yield from table.iter_batches(BATCH, columns=columns and columns.present(table.schema_arrow.names))

    return _arrow_rows(file, batches(), columns, "a parquet file")


def _arrow(file: Path, columns: Columns | None) -> Rows:
    """Yield the rows of an Arrow file or stream, as `datasets` and pandas (feather) write them."""
    import pyarrow as pa

    def batches() -> Iterator[Any]:
        with pa.memory_map(str(file)) as source:
            try:
                table = pa.ipc.open_file(source)
                parts = (table.get_batch(number) for number in range(table.num_record_batches))
            except pa.ArrowInvalid:
                source.seek(0)
                parts = table = pa.ipc.open_stream(source)
            yield table.schema.names
            for batch in parts:
                yield from (batch.slice(start, BATCH) for start in range(0, len(batch), BATCH))

    return _arrow_rows(file, batches(), columns, "an Arrow file")


def _arrow_rows(file: Path, batches: Iterator[Any], columns: Columns | None, kind: str) -> Rows:
    """Yield the rows of record batches; the first item of `batches` are the names of all columns."""
    import pyarrow as pa

    before = 0
    try:
        names = next(batches)
        if columns is not None:
            columns.check(names, str(file))
        for batch in batches:
            places = range(batch.num_columns) if columns is None else columns.places(batch.schema.names)
            absent = [None] * len(batch)
            parts = [absent if place is None else batch.column(place).to_pylist() for place in places]
            for number, values in enumerate(zip(*parts, strict=True), start=before + 1):
                yield f"row {number}", values
            before += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file} is corrupt or not {kind} ({reason(error)}).") from error


FORMATS = {
    ".txt": Format(_text, typed=False, columns=False),
    ".csv": Format(_csv, typed=False),
    ".tsv": Format(_tsv, typed=False),
    **dict.fromkeys((".jsonl", ".ndjson"), Format(_json_lines)),
    ".json": Format(_json),
    ".parquet": Format(_parquet),
    **dict.fromkeys((".arrow", ".feather"), Format(_arrow)),
}
