"""One value of a table as a ranking list: a list, or the text of one."""

import unicodedata
from typing import Any

from rankrefine.data_files import lists
from rankrefine.text.normal_form import normalise

MISSING = "no value"
NO_LIST = "not a list"
NUMPY = "a NumPy array as text, without commas"
NO_TEXT = "empty or non-text item"
SHORT = "fewer than two sentences"
REASONS = (MISSING, NO_LIST, NUMPY, NO_TEXT, SHORT)


def as_list(value: Any) -> tuple[list[str], str | None]:
    """Return the sentences of a value, seed sentence first, and None; or no sentences and one of `REASONS`.

    Args:
        value: a list, or text such as "['a sentence', 'a rewrite']".
    """
    if value is None:
        return [], MISSING
    if isinstance(value, str) and lists.is_numpy(value):
        return [], NUMPY
    items = lists.parse(value) if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        return [], MISSING if value == "" else NO_LIST
    sentences = [_sentence(item) for item in items]
    if not all(sentences):
        return [], NO_TEXT
    if len(sentences) < 2:
        return [], SHORT
    return [normalise(sentences[0]), *sentences[1:]], None


def _sentence(item: Any) -> str:
    """Return an item in Unicode NFC, without white space at its ends; an empty text if it is not text."""
    if not isinstance(item, str) or any("\ud800" <= character <= "\udfff" for character in item):
        return ""  # a lone surrogate cannot be encoded as UTF-8
    return unicodedata.normalize("NFC", item).strip()  # newlines inside stay: consolidation drops such lists
