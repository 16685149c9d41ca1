"""Counts of what a stage reads, keeps and drops, by source and reason, with a few examples of each reason."""

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

EXAMPLES = 5  # per reason
LENGTH = 200  # characters of an example


class Tally:
    """Counter of the items of a stage: each is read once, and dropped at most once."""

    def __init__(
        self,
        sources: Iterable[str] = (),
        reasons: Iterable[str] = (),
        rank: Callable[[str], bytes] = lambda text: b"",
        examples: int = EXAMPLES,
        length: int | None = LENGTH,
    ) -> None:
        """Start all counts at 0.

        Args:
            sources: sources to report even if nothing is read from them.
            reasons: reasons to report even if nothing is dropped for them, before all others.
            rank: key of an example; for each reason those of the smallest keys are kept, by default the first ones.
            examples: number of examples for each reason.
            length: characters to which an example is cut; None keeps all.
        """
        self._read = Counter(dict.fromkeys(sources, 0))
        self._dropped: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._reasons = list(reasons)
        self._examples: dict[str, list[tuple[bytes, str]]] = {}
        self._rank, self._limit, self._length = rank, examples, length

    def read(self, source: str) -> None:
        """Count an item as read."""
        self._read[source] += 1

    def drop(self, source: str, reason: str, text: str) -> None:
        """Count an item as dropped. `text`, unless empty or known, is a candidate for the examples."""
        self._dropped[source][reason] += 1
        example, examples = (self._rank(text), text[: self._length]), self._examples.setdefault(reason, [])
        if text and example not in examples:
            insort(examples, example, key=itemgetter(0))
            del examples[self._limit :]

    def counts(self, *sources: str) -> dict[str, Any]:
        """Return `read`, `kept`, and `dropped` by reason, summed over the given sources (all if none is given)."""
        sources = sources or tuple(self._read)
        read = sum(self._read[source] for source in sources)
        dropped = sum((self._dropped[source] for source in sources), Counter())
        by_reason = {reason: dropped[reason] for reason in (*self._reasons, *sorted(dropped))}
        return {"read": read, "kept": read - dropped.total(), "dropped": by_reason}

    def record(self) -> dict[str, Any]:
        """Return the fields of the stage record: the counts, `examples` by reason, and the counts by source."""
        examples = {reason: [text for _, text in kept] for reason, kept in self._examples.items()}
        sources = {source: self.counts(source) for source in self._read}
        return self.counts() | {"examples": examples, "sources": sources}

    def __str__(self) -> str:
        """Return the counts as text for messages: "3 of 5 kept; dropped: 2 too short"."""
        counts = self.counts()
        dropped = ", ".join(f"{count} {reason}" for reason, count in counts["dropped"].items() if count)
        return f"{counts['kept']} of {counts['read']} kept; dropped: {dropped or 'none'}"
