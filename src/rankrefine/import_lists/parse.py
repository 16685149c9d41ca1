"""Parser of one value of a table: a list, or a Python list literal, which is parsed but never evaluated as code."""

import ast
import unicodedata
import warnings
from typing import Any

from rankrefine.text.normal_form import normalise

MISSING = "no value"
NO_LIST = "not a list"
NO_TEXT = "empty or non-text item"
SHORT = "fewer than two sentences"
REASONS = (MISSING, NO_LIST, NO_TEXT, SHORT)


def as_list(value: Any) -> tuple[list[str], str | None]:
    """Return the sentences of a value, seed sentence first, and None; or no sentences and one of `REASONS`.

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
    """Return the value of a Python literal; None for other text, such as names, calls and operators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escape sequences
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None


def _sentence(item: Any) -> str:
    """Return an item in Unicode NFC, without white space at its ends; an empty text if it is not text."""
    if not isinstance(item, str) or any("\ud800" <= character <= "\udfff" for character in item):
        return ""  # a lone surrogate cannot be encoded as UTF-8
    return unicodedata.normalize("NFC", item).strip()  # newlines inside stay: consolidation drops such lists
