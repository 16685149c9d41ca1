"""Filters of single sentences, from the config section `seeds`."""

import re
from collections.abc import Callable
from typing import Any

from rankrefine.text.words import length

Filters = dict[str, Callable[[str], bool]]


def filters(section: dict[str, Any]) -> Filters:
    """Return the filters in the order of their use: reason to drop -> predicate of a normalised sentence."""
    require, exclude = re.compile(section["require_pattern"]), re.compile(section["exclude_pattern"])
    has_exclude = bool(section["exclude_pattern"])
    return {
        "empty": lambda text: not text,
        "too short": lambda text: length(text) < section["min_words"],
        "too long": lambda text: length(text) > section["max_words"],
        "does not match require_pattern": lambda text: not require.search(text),
        "matches exclude_pattern": lambda text: has_exclude and bool(exclude.search(text)),
    }
