"""Pure functions of a sentence: its normal form, n-grams, hash, and the filters."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from typing import Any

Filters = dict[str, Callable[[str], bool]]


def normalise(text: str) -> str:
    """Unicode NFC, every run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def ngrams(tokens: list[str], n: int) -> set[str]:
    """All runs of `n` words; none if there are fewer."""
    return {" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1)}


def digest(text: str, seed: int | None = None) -> bytes:
    """8 bytes that stand for a text; with a seed, its place in the selection order of that run."""
    return hashlib.blake2b((text if seed is None else f"{seed}\0{text}").encode(), digest_size=8).digest()


def filters(section: dict[str, Any]) -> Filters:
    """Reason to drop -> test of a normalised sentence, from the config section `seeds`, in the order of their use."""
    require, exclude = re.compile(section["require_pattern"]), re.compile(section["exclude_pattern"])
    has_exclude = bool(section["exclude_pattern"])
    return {
        "empty": lambda text: not text,
        "too short": lambda text: len(text.split()) < section["min_words"],
        "too long": lambda text: len(text.split()) > section["max_words"],
        "not like require_pattern": lambda text: not require.search(text),
        "like exclude_pattern": lambda text: has_exclude and bool(exclude.search(text)),
    }
