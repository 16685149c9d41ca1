"""Types of columns: each takes a value of a table and returns it as Python's type, or says why it does not fit.

In formats without types (`typed=False`: CSV, TSV) a number is text, and an empty cell is a missing value, None.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from numbers import Real
from typing import Any

from rankrefine.data_files import lists

Column = Callable[[Any, bool], Any]
LENGTH = 60  # characters of a value in a message


class Unfit(ValueError):
    """A value of another type; the message continues "the value of 'score'"."""


def anything(value: Any, typed: bool) -> Any:
    """Return the value as it is, for a caller that drops what does not fit."""
    return value


def text(value: Any, typed: bool) -> str:
    """Return text."""
    if isinstance(value, str):
        return value
    raise Unfit(f"is {shown(value)}, which is not text")


def filled_text(value: Any, typed: bool) -> str:
    """Return text that is not blank."""
    if not text(value, typed).strip():
        raise Unfit("is blank; complete or remove the row")
    return value


def number(value: Any, typed: bool) -> float:
    """Return a finite number: an integer, float of any width, or decimal."""
    if isinstance(value, str):
        if typed:
            raise Unfit(f"is {shown(value)}, which is text; save the column as numbers")
        try:
            value = float(value)
        except ValueError:
            raise Unfit(f"is {shown(value)}, which is not a number") from None
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise Unfit(f"is {shown(value)}, which is not a number")
    if not math.isfinite(value):
        raise Unfit(f"is {shown(value)}, which is not a finite number")
    return float(value)


def label(value: Any, typed: bool) -> str | int | bool:
    """Return a class: text, an integer or a truth value; text that is an integer in a format without types."""
    if isinstance(value, str | int):
        is_integer = not typed and isinstance(value, str) and value.removeprefix("-").isdecimal()
        return int(value) if is_integer else value
    raise Unfit(f"is {shown(value)}, but must be text or an integer")


def texts(value: Any, typed: bool) -> list[str]:
    """Return a list of texts that is not empty, also from one that is written as text."""
    if isinstance(value, str) and lists.is_numpy(value):
        raise Unfit(f"is {shown(value)}, a NumPy array as text; save it as a list, with commas")
    items = lists.parse(value) if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise Unfit(f"is {shown(value)}, which is not a list of texts")
    if not items:
        raise Unfit("is an empty list")
    return list(items)


def subset(value: Any, typed: bool) -> str:
    """Return the name of a subset: a class as text."""
    return str(label(value, typed))


def shown(value: Any) -> str:
    """Return a value for a message."""
    written = repr(value)
    return written if len(written) <= LENGTH else f"{written[:LENGTH]}..."
