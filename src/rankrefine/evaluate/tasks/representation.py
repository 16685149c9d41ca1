"""The shape of an embedding space: alignment, uniformity, effective rank; all on rows of length 1."""

from __future__ import annotations

import numpy as np
from scipy.linalg import svdvals
from scipy.stats import entropy

from rankrefine.errors import UserError
from rankrefine.evaluate.metric import Metric
from rankrefine.evaluate.sentence_pairs import BLOCK, positives, unit_rows


def representation(left: np.ndarray, right: np.ndarray, gold: np.ndarray, distinct: np.ndarray) -> list[Metric]:
    """Alignment of the positive pairs; uniformity and effective rank of the different sentences.

    Only alignment is a mean over units that can be drawn again. The other two have no interval here: they belong to
    the whole set of sentences, and a bootstrap resample, which holds sentences twice, is less uniform and of lower
    rank than the sentences themselves.

    Args:
        left, right: Embeddings of the pairs `[n, dim]`.
        gold: Their scores from 0 to 5 `[n]`.
        distinct: Embeddings of the different sentences `[m, dim]`.

    Raises:
        UserError: no pair is positive (4 or more), or there are fewer than two different sentences.
    """
    chosen = positives(gold)
    return [
        Metric.mean("alignment", alignment(left[chosen], right[chosen]), higher=False),
        Metric("uniformity", uniformity(distinct), higher=False),
        Metric("effective_rank", effective_rank(distinct)),
    ]


def alignment(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Squared distance of each positive pair `[n]` on the unit sphere, 0 to 4 (Wang & Isola 2020, alpha = 2)."""
    return np.square(unit_rows(left) - unit_rows(right)).sum(axis=1)


def uniformity(embeddings: np.ndarray) -> float:
    """Log of the mean of exp(-2 d^2) over all pairs of different rows (Wang & Isola 2020, t = 2).

    d is the distance on the unit sphere, so that d^2 = 2 - 2 cos. From 0, where all rows are equal, down to -8. The
    rows are `[n, dim]`; of the n x n cosines only a block is held at once.

    Raises:
        UserError: there are fewer than two rows.
    """
    n = len(embeddings)
    if n < 2:
        raise UserError(f"Uniformity needs two different sentences at least, and there is {n}; give it more pairs.")
    unit = unit_rows(embeddings)
    size = max(1, BLOCK // n)
    blocks = (unit[start : start + size] @ unit.T for start in range(0, n, size))  # cosines (b, n)
    total = sum(float(np.exp(4 * block - 4).sum()) for block in blocks)  # each pair twice, each row once with itself
    return float(np.log((total - n) / (n * (n - 1))))


def effective_rank(embeddings: np.ndarray) -> float:
    """Number of directions in use: exp of the entropy of the singular values' shares (Roy & Vetterli 2007).

    Of the rows on the unit sphere, since cosine similarity knows no lengths; 1 (all rows on one line) to dim. The rows
    are not centred, as in the paper: a direction that all sentences share makes all cosines large, and that is part
    of what the number is to show.
    """
    return float(np.exp(entropy(svdvals(unit_rows(embeddings)))))
