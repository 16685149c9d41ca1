"""What the metrics on bare embeddings share: sentences that differ, pairs that are positive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.preprocessing import normalize

from rankrefine.errors import UserError

HIGHEST = 5.0
POSITIVE = 4.0  # of 5: "mostly equivalent" in the scale of STS; the threshold of SimCSE and its descendants
BLOCK = 4_000_000  # similarities held at once: 32 MB, and once or twice as much for what is made of them


def unit_rows(embeddings: np.ndarray) -> np.ndarray:
    """The embeddings `[n, dim]` in float64 with rows of length 1, as cosine similarity sees them."""
    return normalize(np.asarray(embeddings, dtype=np.float64))


def distinct_sentences(first: Sequence[str], second: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The different sentences of the pairs in the order of their first use, and the pairs as their places `[n, 2]`."""
    places = {sentence: place for place, sentence in enumerate(dict.fromkeys([*first, *second]))}
    pairs = [(places[one], places[other]) for one, other in zip(first, second, strict=True)]
    return list(places), np.array(pairs, dtype=np.int64).reshape(-1, 2)


def positives(gold: np.ndarray) -> np.ndarray:
    """Which of the pairs `[n]`, scored from 0 to 5, mean the same.

    Raises:
        UserError: none does, or the scores are others.
    """
    if len(gold) and not (np.min(gold) >= 0 and np.max(gold) <= HIGHEST):
        raise UserError(
            f"Scores run from {np.min(gold):g} to {np.max(gold):g}; alignment and EvalRank take pairs scored from 0 "
            f"to {HIGHEST:g}."
        )
    chosen = np.asarray(gold, dtype=float) >= POSITIVE
    if not chosen.any():
        highest = f"the highest is {np.max(gold):g}" if len(gold) else "there are no pairs"
        raise UserError(
            f"No pair has a score of {POSITIVE:g} or more ({highest}), which alignment and EvalRank are measured on; "
            "give them pairs that are scored from 0 to 5."
        )
    return chosen
