"""One value of a table as a ranking list: real lists, and Python list literals, which are read and never run."""

from __future__ import annotations

import ast
import unicodedata
import warnings
from typing import Any

from rankrefine.text.normal_form import normalise

MISSING = "no value"
NO_LIST = "not a list"
NO_TEXT = "an item is empty or no text"
SHORT = "fewer than two sentences"
REASONS = (MISSING, NO_LIST, NO_TEXT, SHORT)


def as_list(value: Any) -> tuple[list[str], str | None]:
    """The sentences of a value, the seed sentence first, and None; or no sentences and why, one of `REASONS`.

    Args:
        value: a list, or text such as "['a sentence', 'a rewrite']".
    """
    if value is None:
        return [], MISSING
    items = _literal(value) if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        return [], MISSING if value == "" else NO_LIST
    sentences = [_sentence(item) for item in items]
    if not all(sentences):
        return [], NO_TEXT
    if len(sentences) < 2:
        return [], SHORT
    return [normalise(sentences[0]), *sentences[1:]], None


def _literal(text: str) -> Any:
    """What a Python literal stands for; None where `text` is none. Names, calls and operators are no literals."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd backslashes
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None


def _sentence(item: Any) -> str:
    """An item as a sentence: Unicode NFC, without white space at its ends; empty where it is no text.

    A newline inside stays: consolidation drops lists for it.
    """
    if not isinstance(item, str) or any("\ud800" <= character <= "\udfff" for character in item):
        return ""  # a half surrogate pair cannot be written as UTF-8
    return unicodedata.normalize("NFC", item).strip()
