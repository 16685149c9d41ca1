"""Quality rules for one training example."""

import math
from collections.abc import Mapping
from typing import Any

from rankrefine.text.duplicates import DUPLICATE, IN_SET, OVERLAPS, Contamination
from rankrefine.text.rewrite_rules import Limits, problem, same
from rankrefine.text.words import words

ROLES = ("anchor", "positive", "negative")
COPIES = {"positive": "copy of the anchor", "negative": "copy of the anchor or positive"}


def score_of(value: Any, largest: float) -> tuple[float | None, str | None]:
    """Return a score of a file divided by `largest`, and the reason to drop its row or None."""
    try:
        score = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if math.isnan(score):
        return None, "score: not a number"
    return score / largest, None if 0 <= score <= largest else "score: not from 0 to score_range"


class Rules:
    """The rules for the examples of a data set, one after another."""

    def __init__(self, limits: Limits, contamination: Contamination) -> None:
        """Keep the limits of positives and negatives, and the sentences of evaluation sets.

        Anchors are seed sentences, which have limits of their own.
        """
        self._limits, self._contamination = limits, contamination
        self._seen: set[tuple[str, ...]] = set()

    def problem(self, example: Mapping[str, Any]) -> str | None:
        """Return the reason to drop an example, a text or None for each of its roles; None if it is good."""
        roles = [role for role in ROLES if role in example]
        texts = [example[role] or "" for role in roles]
        if not same(texts[0]):
            return "anchor: empty"
        for place, role in enumerate(roles[1:], start=1):
            if reason := problem(texts[place], texts[:place], self._limits):
                return f"{role}: {COPIES[role] if reason == 'repeat' else reason}"
        key = tuple(map(same, texts))
        if key in self._seen:
            return DUPLICATE
        self._seen.add(key)
        tokens = {role: words(text) for role, text in zip(roles, texts, strict=True)}
        if role := next((role for role in roles if self._contamination.has(tokens[role])), None):
            return f"{role}: {IN_SET}"
        return f"anchor: {OVERLAPS}" if self._contamination.overlaps(tokens["anchor"]) else None
