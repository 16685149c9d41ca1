"""Rules for a single rewrite: generation retries a rewrite that breaks one, consolidation drops its list."""

import re
import sys
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rankrefine.text.words import jaccard, length, ngrams, words

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
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’"}


@dataclass(frozen=True)
class Limits:
    """Configurable rules. Empty rewrites, rewrites of several lines and repeats are always rejected."""

    max_overlap: float = 1.0  # highest Jaccard similarity (0 to 1) of its words to an earlier sentence; 1 allows all
    min_words: int = 1
    max_words: int = sys.maxsize
    forbid: Collection[str] = ("marker", "refusal")  # any of: marker (prompt text, chat markers), refusal


def clean(text: str) -> str:
    """Return a completion as a sentence in Unicode NFC, without back-ticks and enclosing quotes; newlines stay."""
    text = unicodedata.normalize("NFC", text).replace("`", "").strip()
    inner = re.sub(r"\b['’]\b", "", text[1:-1])  # an apostrophe between two letters is no quotation mark
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and not {text[0], text[-1]} & set(inner):
        text = text[1:-1]
    return re.sub(r"[ \t]+", " ", text).strip()


def same(text: str) -> str:
    """Return a key that is equal for sentences that differ only in case, punctuation and spacing."""
    return " ".join(words(text))


def problem(rewrite: str, chain: Sequence[str], limits: Limits = Limits()) -> str | None:
    """Return the reason to reject `rewrite` after the sentences of `chain`, or None.

    The first that applies: empty, newline, marker, refusal, repeat, too similar, too short, too long.
    """
    if not same(rewrite):
        return "empty"
    if "\n" in rewrite:
        return "newline"
    if "marker" in limits.forbid and MARKERS.search(rewrite):
        return "marker"
    if "refusal" in limits.forbid and REFUSALS.search(rewrite):
        return "refusal"
    if same(rewrite) in {same(sentence) for sentence in chain}:
        return "repeat"
    if limits.max_overlap < 1 and any(_overlap(rewrite, earlier) > limits.max_overlap for earlier in chain):
        return "too similar"
    if length(rewrite) < limits.min_words:
        return "too short"
    if length(rewrite) > limits.max_words:
        return "too long"
    return None


def _overlap(one: str, other: str) -> float:
    return jaccard(ngrams(words(one), 1), ngrams(words(other), 1))
