"""Comparing sentences: with evaluation sets (decontamination), and with each other (near duplicates).

Both see the words alone, so that case and punctuation make no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rankrefine.text.normal_form import digest, ngrams
from rankrefine.text.words import words

if TYPE_CHECKING:
    import numpy as np

PERMUTATIONS = 128  # of a MinHash signature
PAIR = 2  # words in a shingle
REASONS = ("duplicate", "in an evaluation set", "overlaps an evaluation set", "near duplicate")


class Comparison:
    """What was seen so far, and what must not be seen."""

    def __init__(self, contamination: Contamination) -> None:
        """Start with nothing seen."""
        self._contamination = contamination
        self._seen: set[bytes] = set()

    def reason(self, tokens: list[str]) -> str | None:
        """Why the sentence with these words, the next in selection order, is dropped: one of `REASONS`, or None.

        Near duplicates are looked for among what is left.
        """
        form = digest(" ".join(tokens))
        if form in self._seen:
            return "duplicate"
        self._seen.add(form)
        if self._contamination.has(tokens):
            return "in an evaluation set"
        return "overlaps an evaluation set" if self._contamination.overlaps(tokens) else None


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
    """Sentences that nearly repeat one kept before, by the Jaccard similarity of their word pairs.

    MinHash signatures propose candidates (Broder 1997; banding as in Leskovec et al., Mining of Massive Datasets,
    chapter 3) and the exact similarity decides, so that nothing is dropped by an unlucky estimate. Of a signature only
    4 bytes a band are held; an index of all of them in memory takes kilobytes for each sentence. Sorting a band
    finds those that share it, and the few sentences that share any are then gone through in order.
    """

    def __init__(self, threshold: float, most: int) -> None:
        """Start with none of at most `most` sentences."""
        import numpy as np
        from datasketch import MinHash, MinHashLSH

        self._threshold = threshold
        # candidates are checked, so a lower threshold of the bands only makes them find what lies at the real one
        cut = MinHashLSH(threshold=0.8 * threshold, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
        self._bands, self._rows = cut.b, cut.r
        self._blank = MinHash(num_perm=PERMUTATIONS)  # its seed is fixed: likeness does not depend on the run
        self._hashes = np.zeros((cut.b, most), dtype=np.uint32)
        self._factors = np.random.default_rng(0).integers(1, 2**63, cut.r, dtype=np.uint64) * np.uint64(2) + np.uint64(
            1
        )
        self._count = 0

    def add(self, tokens: list[str]) -> None:
        """Take in the words of the next sentence in selection order."""
        signature = self._blank.copy()
        signature.update_batch([pair.encode() for pair in shingles(tokens)])
        rows = signature.hashvalues[: self._bands * self._rows].reshape(self._bands, self._rows)
        self._hashes[:, self._count] = (rows * self._factors).sum(axis=1, dtype="uint64") >> 32  # modulo 2^64
        self._count += 1

    def repeated(self, words_of: Callable[[int], list[str]]) -> set[int]:
        """Numbers of those that nearly repeat one before that does not itself; `words_of` gives each one's words."""
        groups = self._groups()
        kept: dict[int, list[int]] = {}  # in each group
        found: set[int] = set()
        for number in groups.any(axis=0).nonzero()[0].tolist():
            mine = groups[:, number]
            mine = mine[mine > 0].tolist()
            pairs = shingles(words_of(number))
            candidates = {other for group in mine for other in kept.get(group, ())}
            if any(jaccard(pairs, shingles(words_of(other))) >= self._threshold for other in candidates):
                found.add(number)
            else:
                for group in mine:
                    kept.setdefault(group, []).append(number)
        return found

    def _groups(self) -> np.ndarray:
        """(bands, sentences): number of the group that shares a band, 0 where no other sentence has the same."""
        import numpy as np

        groups = self._hashes[:, : self._count]
        before = 0
        for band in groups:
            order = band.argsort(kind="stable")
            inner = np.diff(band[order]) == 0  # equal to the next one
            shares = np.append(inner, False) | np.append(False, inner)
            starts = shares & ~np.append(False, inner)
            band[order] = np.where(shares, before + starts.cumsum(), 0)
            before += int(starts.sum())
        return groups


def shingles(tokens: list[str]) -> set[str]:
    """The pairs of neighbouring words, or the word where there is but one."""
    return ngrams(tokens, PAIR) or set(tokens)


def jaccard(a: set[str], b: set[str]) -> float:
    """Shared items over all items; 0 for two empty sets."""
    return len(a & b) / len(a | b) if a or b else 0.0
