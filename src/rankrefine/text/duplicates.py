"""Detection of repeated sentences: of evaluation sets (decontamination), exact duplicates and near duplicates.

Everything compares words (`text.words`), so case and punctuation make no difference.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rankrefine.text.normal_form import text_hash
from rankrefine.text.words import jaccard, ngrams, words

if TYPE_CHECKING:
    import numpy as np

PERMUTATIONS = 128  # of a MinHash signature
PAIR = 2  # words in a shingle
DUPLICATE, IN_SET, OVERLAPS = "duplicate", "in an evaluation set", "overlaps an evaluation set"


class Contamination:
    """The sentences and word n-grams of evaluation sets, as 8-byte hashes."""

    def __init__(self, texts: Iterable[str], n: int, limit: float) -> None:
        """Collect all `texts`; `n` and `limit` are the config's overlap_ngram and overlap_limit."""
        self._n, self._limit = n, limit
        self._sentences: set[bytes] = set()
        self._ngrams: set[bytes] = set()
        for text in texts:
            tokens = words(text)
            self._sentences.add(text_hash(" ".join(tokens)))
            self._ngrams.update(text_hash(gram) for gram in ngrams(tokens, n))

    def has(self, tokens: list[str]) -> bool:
        """Return True if a set contains the sentence with these words."""
        return text_hash(" ".join(tokens)) in self._sentences

    def overlaps(self, tokens: list[str]) -> bool:
        """Return True if the share of the sentence's n-grams that occur in a set reaches the limit."""
        grams = ngrams(tokens, self._n)
        return bool(grams) and sum(text_hash(gram) in self._ngrams for gram in grams) >= self._limit * len(grams)


class KnownSentences:
    """Sentences that must not be kept: those checked before, and those of evaluation sets."""

    REASONS = (DUPLICATE, IN_SET, OVERLAPS)

    def __init__(self, contamination: Contamination) -> None:
        self._contamination = contamination
        self._seen: set[bytes] = set()

    def reason(self, tokens: list[str]) -> str | None:
        """Remember the words of the next sentence; return one of `REASONS` to drop it, or None."""
        form = text_hash(" ".join(tokens))
        if form in self._seen:
            return DUPLICATE
        self._seen.add(form)
        if self._contamination.has(tokens):
            return IN_SET
        return OVERLAPS if self._contamination.overlaps(tokens) else None


class NearDuplicates:
    """Sentences that nearly repeat an earlier one, by the Jaccard similarity of their word pairs.

    MinHash signatures propose candidates (Broder 1997; banding as in Leskovec et al., Mining of Massive Datasets,
    chapter 3) and the exact similarity decides, so an unlucky estimate never drops a sentence. Only 4 bytes of each
    band of a signature are stored, because an index of whole signatures takes kilobytes a sentence. Sorting a band
    finds the sentences that share it; only those are then compared, in selection order.
    """

    def __init__(self, threshold: float, capacity: int) -> None:
        """Allocate memory for `capacity` sentences; `threshold` is the Jaccard similarity of a near duplicate."""
        import numpy as np
        from datasketch import MinHash, MinHashLSH

        self._threshold = threshold
        # candidates are verified, so banding at a lower threshold only improves recall
        cut = MinHashLSH(threshold=0.8 * threshold, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
        self._bands, self._rows = cut.b, cut.r
        self._blank = MinHash(num_perm=PERMUTATIONS)  # with a fixed seed: similarity does not depend on the run
        self._hashes = np.zeros((cut.b, capacity), dtype=np.uint32)
        factors = np.random.default_rng(0).integers(1, 2**63, cut.r, dtype=np.uint64)
        self._factors = factors * np.uint64(2) + np.uint64(1)
        self._count = 0

    def add(self, tokens: list[str]) -> None:
        """Add the words of the next sentence in selection order."""
        signature = self._blank.copy()
        signature.update_batch([pair.encode() for pair in shingles(tokens)])
        rows = signature.hashvalues[: self._bands * self._rows].reshape(self._bands, self._rows)
        self._hashes[:, self._count] = (rows * self._factors).sum(axis=1, dtype="uint64") >> 32  # modulo 2^64
        self._count += 1

    def repeated(self, words_of: Callable[[int], list[str]]) -> set[int]:
        """Return the numbers of the near duplicates; call once, after all sentences are added.

        A sentence is compared with earlier ones that are not near duplicates themselves. `words_of` returns the words
        of a sentence by its number.
        """
        groups = self._groups()
        kept: dict[int, list[int]] = {}  # sentences of each group
        repeated: set[int] = set()
        for number in groups.any(axis=0).nonzero()[0].tolist():
            shared = groups[:, number]
            shared = shared[shared > 0].tolist()
            pairs = shingles(words_of(number))
            candidates = {other for group in shared for other in kept.get(group, ())}
            if any(jaccard(pairs, shingles(words_of(other))) >= self._threshold for other in candidates):
                repeated.add(number)
            else:
                for group in shared:
                    kept.setdefault(group, []).append(number)
        return repeated

    def _groups(self) -> "np.ndarray":
        """Group id of each sentence per band, shape [bands, sentences]; 0 if no other sentence has the same band."""
        import numpy as np

        groups = self._hashes[:, : self._count]
        before = 0
        for band in groups:
            order = band.argsort(kind="stable")
            equals_next = np.diff(band[order]) == 0
            shares = np.append(equals_next, False) | np.append(False, equals_next)
            starts = shares & ~np.append(False, equals_next)
            band[order] = np.where(shares, before + starts.cumsum(), 0)
            before += int(starts.sum())
        return groups


def shingles(tokens: list[str]) -> set[str]:
    """Return the pairs of neighbouring words (see `ngrams`), or the whole text if it is shorter."""
    return ngrams(tokens, PAIR) or {" ".join(tokens)} - {""}
