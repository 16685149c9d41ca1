"""Read columns of local data: the one way from a file or folder of any supported form to values.

`path` is a file, or a folder with files for each split (see `splits`).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rankrefine.data_files import splits
from rankrefine.data_files.columns import Column, Unfit, text
from rankrefine.data_files.formats import Columns, Format, Rows, format_of
from rankrefine.errors import UserError

log = logging.getLogger(__name__)


def sentences(path: Path, column: str, split: str) -> Iterator[str | None]:
    """Yield the texts of a column in the order of the files; None for a missing value.

    The lines of a .txt file are texts, whatever the column.

    Raises:
        UserError: unknown extension, missing split or column, not UTF-8, a malformed row, or a value that is not text.
    """
    for file in splits.files(path, split):
        kind = format_of(file)
        for place, (value,) in kind.rows(file, Columns([column])):
            yield None if value is None else _cast(text, value, kind, column, file, place)


def values(path: Path, column: str, split: str) -> Iterator[Any]:
    """Yield the values of a column in the order of the files: text, lists, None for a missing value.

    Raises:
        UserError: as `sentences`; or a .txt file, which has no columns.
    """
    for file in splits.files(path, split):
        for _, (value,) in _rows(file, Columns([column])):
            yield value


def read(
    files: Sequence[Path],
    columns: Mapping[str, Column],
    optional: Mapping[str, Column] | None = None,
    allow_missing: bool = False,
) -> dict[str, list[Any]]:
    """Return the values of columns by their names, complete unless `allow_missing`.

    Optional columns are left out where no row has a value. A missing value that is allowed is None.

    Raises:
        UserError: as `sentences`; or a .txt file, no rows, or a value that is missing or not of its column's type.
    """
    types = {**columns, **(optional or {})}
    table: dict[str, list[Any]] = {name: [] for name in types}
    for file in files:
        kind = format_of(file)
        for place, row in _rows(file, Columns(list(columns), tuple(optional or ()))):
            for (name, column), value in zip(types.items(), row, strict=True):
                if value is not None and (kind.typed or value != ""):
                    table[name].append(_cast(column, value, kind, name, file, place))
                elif name in columns and not allow_missing:
                    raise UserError(f"{file}, {place}: column {name} is empty; complete or remove the row.")
                else:
                    table[name].append(None)
    if not next(iter(table.values())):
        raise UserError(f"{names(files)} has no rows.")
    return {name: column for name, column in table.items() if name in columns or any(x is not None for x in column)}


def evaluation_texts(*paths: Path) -> Iterator[str]:
    """Yield the texts of all columns, splits and files of evaluation sets, also those inside of lists and objects.

    Raises:
        UserError: as `sentences`; or a data set contains no text that can be read.
    """
    for path in paths:
        found = False
        for file in splits.other_files(path):
            log.warning("%s is not read: it is in none of the formats %s.", file, ", ".join(splits.EXTENSIONS))
        for file in splits.data_files(path):
            for _, row in format_of(file).rows(file, None):
                for value in _strings(row):
                    if value.strip():
                        found = True
                        yield value
        if not found:
            raise UserError(
                f"seeds.decontaminate: {path} contains no text that can be compared; the formats that are read are "
                f"{', '.join(splits.EXTENSIONS)}."
            )


def names(files: Sequence[Path]) -> str:
    """Return the names of the files of a split for a message."""
    return str(files[0]) if len(files) == 1 else f"{files[0]} (and {len(files) - 1} more)"


def _rows(file: Path, columns: Columns) -> Rows:
    kind = format_of(file)
    if not kind.columns:
        wanted = ", ".join(columns.required)
        raise UserError(f"{file} has no columns, because it is a .txt file; use a table with {wanted}.")
    return kind.rows(file, columns)


def _cast(column: Column, value: Any, kind: Format, name: str, file: Path, place: str) -> Any:
    try:
        return column(value, kind.typed)
    except Unfit as error:
        raise UserError(f"{file}, {place}: the value of '{name}' {error}.") from error


def _strings(value: Any) -> Iterator[str]:
    """Yield all strings in nested lists, tuples and dictionaries."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
