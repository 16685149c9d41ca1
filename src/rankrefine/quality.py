"""What makes a rewrite unusable: generation draws it again, consolidation drops its list."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from rankrefine.text import words

# `Sure, here is a rewritten version: …`, chat markers, code fences, roles: text of the prompt or about the task
MARKERS = re.compile(
    r"<\|[^|]*\|>|</?s>|\[/?INST\]|```|^\s*(?:system|user|assistant|sentence|rewrite|rewritten|output|answer)\s*:"
    r"|\b(?:re-?written|rephrased|paraphrased?) (?:sentence|version|text)\b|^(?:sure|certainly|of course)\s*[,!:]"
    r"|\{sentence\}",
    re.IGNORECASE,
)
REFUSALS = re.compile(
    r"^(?:i(?:['’]m| am) (?:sorry|unable|not able)|i apologi[sz]e|(?:sorry, )?(?:but )?i (?:can(?:not|['’]t)|won['’]t)"
    r"|as an? (?:ai|language model)\b)",
    re.IGNORECASE,
)
_OUTSIDE = " \t`\"'“”‘’"


def clean(text: str) -> str:
    """A completion as a sentence: Unicode NFC, without back-ticks and the quotes that wrap it; newlines stay."""
    text = unicodedata.normalize("NFC", text).strip().replace("`", "")
    if len(text) > 1 and text[0] in _OUTSIDE and text[-1] in _OUTSIDE:
        text = text.strip(_OUTSIDE)
    return re.sub(r"[ \t]+", " ", text).strip()


def same(text: str) -> str:
    """A key that is equal for sentences that differ in case, punctuation and spacing alone."""
    return " ".join(words(text))


def problem(rewrite: str, chain: Sequence[str]) -> str | None:
    """Why `rewrite` cannot follow the sentences of `chain`, or None: empty, newline, marker, refusal, repeat."""
    if not same(rewrite):
        return "empty"
    if "\n" in rewrite:
        return "newline"
    if MARKERS.search(rewrite):
        return "marker"
    if REFUSALS.search(rewrite):
        return "refusal"
    if same(rewrite) in {same(sentence) for sentence in chain}:
        return "repeat"
    return None
