"""Measures of an embedding space: alignment, uniformity, effective rank, all on rows of length 1."""

import numpy as np
from scipy.linalg import svdvals
from scipy.stats import entropy

from rankrefine.errors import UserError
from rankrefine.evaluate.metric import Metric
from rankrefine.evaluate.sentence_pairs import BLOCK, distinct_sentences, positives, unit_rows
from rankrefine.evaluate.tasks.task import Embed, Files, Tables, TableTask, text_columns


class Representation(TableTask):
    """Alignment, uniformity and effective rank on scored sentence pairs."""

    def size(self, tables: Tables, files: Files) -> tuple[int, str]:
        positives(tables["test"]["score"].to_numpy())
        return len(tables["test"]), "pairs"

    def score(self, embed: Embed, tables: Tables) -> list[Metric]:
        first, second = text_columns(tables["test"])
        distinct, _ = distinct_sentences(first, second)
        gold = tables["test"]["score"].to_numpy()
        return representation(embed(first), embed(second), gold, embed(distinct))


TASK = Representation


def representation(left: np.ndarray, right: np.ndarray, gold: np.ndarray, distinct: np.ndarray) -> list[Metric]:
    """Alignment of the positive pairs; uniformity and effective rank of the distinct sentences.

    Only alignment is a mean over units that a bootstrap can resample. The other two have no interval: they are
    properties of the whole set of sentences, and a resample, which repeats sentences, is less uniform and of lower
    rank than that set.

    Args:
        left, right: Embeddings of the pairs `[n, dim]`.
        gold: Gold scores of the pairs from 0 to 5 `[n]`.
        distinct: Embeddings of the distinct sentences `[m, dim]`.

    Raises:
        UserError: no pair is positive (4 or more), or there are fewer than two distinct sentences.
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
    """Log of the mean of exp(-2 d^2) over all pairs of rows `[n, dim]` (Wang & Isola 2020, t = 2).

    d is the distance on the unit sphere, so d^2 = 2 - 2 cos. The range is 0 (all rows equal) down to -8. The n x n
    cosines are computed in blocks.

    Raises:
        UserError: there are fewer than two rows.
    """
    n = len(embeddings)
    if n < 2:
        raise UserError(
            f"Uniformity requires at least two distinct sentences, but the data contain {n}; add more pairs."
        )
    unit = unit_rows(embeddings)
    size = max(1, BLOCK // n)
    blocks = (unit[start : start + size] @ unit.T for start in range(0, n, size))  # cosines (b, n)
    total = sum(float(np.exp(4 * block - 4).sum()) for block in blocks)  # each pair twice, each row with itself once
    return float(np.log((total - n) / (n * (n - 1))))


def effective_rank(embeddings: np.ndarray) -> float:
    """Effective rank: exp of the entropy of the normalised singular values (Roy & Vetterli 2007).

    Rows are scaled to length 1, because cosine similarity ignores lengths. The range is 1 (all rows on one line) to
    dim. Rows are not centred, as in the paper: a direction shared by all sentences makes all cosines large, and the
    measure should show that.
    """
    return float(np.exp(entropy(svdvals(unit_rows(embeddings)))))
