"""The shape of an embedding space: alignment, uniformity, effective rank; no labels but the positive pairs of STS."""

from __future__ import annotations

import numpy as np
from scipy.linalg import svdvals
from scipy.stats import entropy
from sklearn.metrics import pairwise_distances_chunked
from sklearn.preprocessing import normalize

from rankrefine.errors import UserError
from rankrefine.evaluate.embeddings import positives
from rankrefine.evaluate.metric import Metric

MEMORY = 32  # MiB of distances held at once


def representation(left: np.ndarray, right: np.ndarray, gold: np.ndarray, distinct: np.ndarray) -> list[Metric]:
    """Alignment of the positive pairs; uniformity and effective rank of the different sentences.

    Only alignment is a mean over units that can be drawn again. The other two have no interval here: they belong to
    the whole set of sentences, and a bootstrap resample, which holds sentences twice, is less uniform and of lower
    rank than any set of different sentences.

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
    return np.square(_unit(left) - _unit(right)).sum(axis=1)


def uniformity(embeddings: np.ndarray) -> float:
    """Log of the mean of exp(-2 d^2) over all pairs of different rows (Wang & Isola 2020, t = 2).

    d is the distance on the unit sphere, so that d^2 is twice the cosine distance. 0 where all rows are equal, and at
    least -8. Rows `[n, dim]`; the n x n distances are made in blocks.

    Raises:
        UserError: there are fewer than two rows.
    """
    n = len(embeddings)
    if n < 2:
        raise UserError(f"Uniformity needs two different sentences at least, and there is {n}; give it more pairs.")
    blocks = pairwise_distances_chunked(_unit(embeddings), metric="cosine", working_memory=MEMORY)
    total = sum(float(np.exp(-4 * block).sum()) for block in blocks)  # each pair twice, each row once with itself
    return float(np.log((total - n) / (n * (n - 1))))


def effective_rank(embeddings: np.ndarray) -> float:
    """Number of directions in use: exp of the entropy of the singular values' shares (Roy & Vetterli 2007).

    Of the rows on the unit sphere, since cosine similarity knows no lengths; 1 (all rows on one line) to dim. The rows
    are not centred, as in the paper: a direction that all sentences share makes all cosines large, and that is part
    of what the number is to show.
    """
    return float(np.exp(entropy(svdvals(_unit(embeddings)))))


def _unit(embeddings: np.ndarray) -> np.ndarray:
    return normalize(np.asarray(embeddings, dtype=np.float64))
