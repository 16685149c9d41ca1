"""Helpers of the tasks on sentence pairs: distinct sentences and positive pairs."""

from collections.abc import Sequence

import numpy as np
from sklearn.preprocessing import normalize

from rankrefine.errors import UserError

HIGHEST = 5.0
POSITIVE = 4.0  # of 5: "mostly equivalent" in the scale of STS; the threshold of SimCSE and its descendants
BLOCK = 4_000_000  # similarities computed at once: 32 MB, and one or two temporary arrays of that size


def unit_rows(embeddings: np.ndarray) -> np.ndarray:
    """Return the embeddings `[n, dim]` in float64 with rows scaled to length 1."""
    return normalize(np.asarray(embeddings, dtype=np.float64))


def distinct_sentences(first: Sequence[str], second: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Return the distinct sentences of the pairs in order of first use, and the pairs as indices of them `[n, 2]`."""
    indices = {sentence: index for index, sentence in enumerate(dict.fromkeys([*first, *second]))}
    pairs = [(indices[left], indices[right]) for left, right in zip(first, second, strict=True)]
    return list(indices), np.array(pairs, dtype=np.int64).reshape(-1, 2)


def positives(gold: np.ndarray) -> np.ndarray:
    """Return a mask `[n]` of the positive pairs, from gold scores between 0 and 5.

    Raises:
        UserError: no pair is positive, or scores are outside of this range.
    """
    if len(gold) and not (np.min(gold) >= 0 and np.max(gold) <= HIGHEST):
        found = f"{np.min(gold):g} to {np.max(gold):g}"
        raise UserError(f"Scores range from {found}, but alignment and EvalRank require scores from 0 to {HIGHEST:g}.")
    chosen = np.asarray(gold, dtype=float) >= POSITIVE
    if not chosen.any():
        highest = f"the highest is {np.max(gold):g}" if len(gold) else "there are no pairs"
        raise UserError(
            f"No pair has a score of {POSITIVE:g} or more ({highest}), as alignment and EvalRank require; use pairs "
            f"scored from 0 to {HIGHEST:g}."
        )
    return chosen
