"""Counting what is read and what is dropped, per source and reason, with a few examples of each reason."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rankrefine.text.normal_form import digest

EXAMPLES = 5  # per reason
LENGTH = 200  # characters of an example


class Tally:
    """Every sentence is counted once as read, and at most once as dropped."""

    def __init__(self, sources: Iterable[str], reasons: Iterable[str]) -> None:
        """Reasons keep their order, and those that drop nothing are reported with 0."""
        self._reasons = list(reasons)
        self._read = dict.fromkeys(sources, 0)
        self._dropped = {source: Counter[str]() for source in self._read}
        self._examples: dict[str, list[tuple[bytes, str]]] = {reason: [] for reason in self._reasons}

    def read(self, source: str) -> None:
        """Count one sentence read."""
        self._read[source] += 1

    def drop(self, source: str, text: str, reason: str) -> None:
        """Count one sentence dropped. The examples are those of smallest hash: a mixture, whatever the order."""
        self._dropped[source][reason] += 1
        examples, example = self._examples[reason], (digest(text), text[:LENGTH])
        if text and example not in examples and (len(examples) < EXAMPLES or example < examples[-1]):
            insort(examples, example)
            del examples[EXAMPLES:]

    def is_blank(self, source: str) -> bool:
        """Whether the source gave no text at all."""
        return self._read[source] == self._dropped[source]["empty"]

    def summary(self) -> dict[str, Any]:
        """Fields of the stage record: `read`, `kept`, `dropped`, `examples`, and the counts of each of `sources`."""
        everything = self._counts(sum(self._read.values()), sum(self._dropped.values(), Counter()))
        return {
            **everything,
            "examples": {reason: [text for _, text in kept] for reason, kept in self._examples.items()},
            "sources": {source: self._counts(read, self._dropped[source]) for source, read in self._read.items()},
        }

    def sentence(self) -> str:
        """The counts in words, for messages."""
        counts = self.summary()
        dropped = ", ".join(f"{count} {reason}" for reason, count in counts["dropped"].items() if count)
        return f"{counts['kept']} of {counts['read']} sentences kept, dropped: {dropped or 'none'}"

    def _counts(self, read: int, dropped: Counter[str]) -> dict[str, Any]:
        return {
            "read": read,
            "kept": read - dropped.total(),
            "dropped": {reason: dropped[reason] for reason in self._reasons},
        }
