"""Comparing sentences: with evaluation sets (decontamination), and with each other (near duplicates).

Both see the words alone, so that case and punctuation make no difference.
"""

from __future__ import annotations

from collections.abc import Iterable

from rankrefine.seeds.clean import digest, ngrams
from rankrefine.text import words

PERMUTATIONS = 128  # of a MinHash signature
PAIR = 2  # words in a shingle
REASONS = ("duplicate", "in an evaluation set", "overlaps an evaluation set", "near duplicate")


class Comparison:
    """What was seen so far, and what must not be seen."""

    def __init__(self, contamination: Contamination, near: NearDuplicates) -> None:
        """Start with nothing seen."""
        self._contamination, self._near = contamination, near
        self._seen: set[bytes] = set()

    def reason(self, text: str) -> str | None:
        """Why the next sentence in selection order is dropped, one of `REASONS`, or None."""
        tokens = words(text)
        form = digest(" ".join(tokens))
        if form in self._seen:
            return "duplicate"
        self._seen.add(form)
        if self._contamination.has(tokens):
            return "in an evaluation set"
        if self._contamination.overlaps(tokens):
            return "overlaps an evaluation set"
        return "near duplicate" if self._near.seen(tokens) else None


class Contamination:
    """The sentences and word n-grams of evaluation sets, as 8-byte hashes."""

    def __init__(self, texts: Iterable[str], n: int, limit: float) -> None:
        """Collect all `texts`; `n` and `limit` are the config's overlap_ngram and overlap_limit."""
        self._n, self._limit = n, limit
        self._whole: set[bytes] = set()
        self._parts: set[bytes] = set()
        for text in texts:
            tokens = words(text)
            self._whole.add(digest(" ".join(tokens)))
            self._parts.update(digest(gram) for gram in ngrams(tokens, n))

    def has(self, tokens: list[str]) -> bool:
        """Whether a sentence with these words is in a set."""
        return digest(" ".join(tokens)) in self._whole

    def overlaps(self, tokens: list[str]) -> bool:
        """Whether the share of its n-grams that occur in a set reaches the limit."""
        grams = ngrams(tokens, self._n)
        return bool(grams) and sum(digest(gram) in self._parts for gram in grams) >= self._limit * len(grams)


class NearDuplicates:
    """Sentences kept so far, searchable by the Jaccard similarity of their word pairs.

    MinHash signatures propose candidates (Broder 1997; banding as in Leskovec et al., Mining of Massive Datasets,
    chapter 3) and the exact similarity decides, so that nothing is dropped by an unlucky estimate.
    """

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHash, MinHashLSH

        self._threshold = threshold
        # candidates are checked, so a lower threshold in the index only makes it find what lies at the real one
        self._index = MinHashLSH(threshold=0.8 * threshold, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
        self._blank = MinHash(num_perm=PERMUTATIONS)  # its seed is fixed: likeness does not depend on the run
        self._kept: list[str] = []

    def seen(self, tokens: list[str]) -> bool:
        """Whether a sentence with these words nearly repeats one kept before; if not, it is kept."""
        pairs = shingles(tokens)
        signature = self._blank.copy()
        signature.update_batch([pair.encode() for pair in pairs])
        candidates = (shingles(self._kept[i].split(" ")) for i in self._index.query(signature))
        if any(jaccard(pairs, candidate) >= self._threshold for candidate in candidates):
            return True
        self._index.insert(len(self._kept), signature, check_duplication=False)
        self._kept.append(" ".join(tokens))
        return False


def shingles(tokens: list[str]) -> set[str]:
    """The pairs of neighbouring words, or the word where there is but one."""
    return ngrams(tokens, PAIR) or set(tokens)


def jaccard(a: set[str], b: set[str]) -> float:
    """Shared items over all items; 0 for two empty sets."""
    return len(a & b) / len(a | b) if a or b else 0.0
