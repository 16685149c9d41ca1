"""Paired bootstrap of Spearman correlations and of means, in numpy."""

from collections.abc import Iterator

import numpy as np

BLOCK = 200_000  # counts computed at once: some 10 MB with temporary arrays, fastest if they fit the CPU cache


def bootstrap(gold: np.ndarray, predictions: np.ndarray, resamples: int, random_seed: int) -> np.ndarray:
    """Spearman correlations of each model with `gold` on resampled pairs (Efron & Tibshirani 1993, ch. 13).

    Each resample draws n pairs with replacement, the same ones for all models, so the difference of two rows is a
    paired bootstrap. A resample is represented by the count of each pair: the order of the values does not change, and
    ranks follow from cumulative counts without sorting again.

    Args:
        gold: Gold scores `[n]`.
        predictions: Predicted scores `[models, n]`.
        resamples: Number of resamples B.
        random_seed: Seed of the draws.

    Returns:
        Correlations `[models, B]`, NaN for a resample that happens to be constant.
    """
    gold_ranks, *model_ranks = (_MidRanks(np.asarray(row, dtype=float)) for row in (gold, *predictions))
    result = np.empty((len(model_ranks), resamples))
    for part, counts in _draws(len(gold), resamples, random_seed):
        of_gold = gold_ranks(counts)
        for row, ranks in zip(result, model_ranks, strict=True):
            row[part] = _correlate(counts, of_gold, ranks(counts))
    return result


def bootstrap_means(scores: np.ndarray, resamples: int, random_seed: int) -> np.ndarray:
    """Mean score of each model on resampled units, the same ones for all models.

    Args:
        scores: Scores of the units `[models, n]`.
        resamples: Number of resamples B.
        random_seed: Seed of the draws.

    Returns:
        Means `[models, B]`.
    """
    scores = np.asarray(scores, dtype=float)
    models, n = scores.shape
    result = np.empty((models, resamples))
    for part, counts in _draws(n, resamples, random_seed):
        result[:, part] = scores @ counts.T / n
    return result


def interval(samples: np.ndarray, confidence: float) -> tuple[float, float]:
    """Percentile interval of bootstrap samples `[B]`, without undefined (NaN) ones; NaN if all are undefined."""
    if np.isnan(samples).all():
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def _draws(n: int, resamples: int, random_seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield blocks of b resamples: their place among all, and the counts of n units in them `[b, n]`."""
    rng = np.random.default_rng(random_seed)
    size = max(1, BLOCK // n)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = rng.integers(n, size=(rows, n)) + np.arange(rows)[:, None] * n
        yield slice(start, start + rows), np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)


class _MidRanks:
    """Ranks of fixed values `[n]`, each repeated a given number of times."""

    def __init__(self, values: np.ndarray) -> None:
        self._order = np.argsort(values, kind="stable")
        ordered = values[self._order]
        starts_group = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        self._starts = np.flatnonzero(starts_group)
        self._group = np.empty(len(values), dtype=np.int64)  # of each value, in the original order
        self._group[self._order] = np.cumsum(starts_group) - 1

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """Twice the centred mean rank of each value: integers, so that sums are exact.

        A group of tied values with w of the n draws, and with c draws up to its end, has the mean rank
        c - (w - 1) / 2; the mean of all ranks is (n + 1) / 2.
        """
        drawn = np.add.reduceat(counts[:, self._order], self._starts, axis=1)  # (b, groups)
        doubled = 2 * np.cumsum(drawn, axis=1) - drawn - counts[0].sum()
        return doubled[:, self._group]  # (b, n)


def _correlate(counts: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlation of centred integer ranks `[b, n]`, each pair weighted by its count: `[b]`."""
    products = [np.einsum("bn,bn,bn->b", counts, left, right) for left, right in ((x, y), (x, x), (y, y))]
    covariance, variance_x, variance_y = (product.astype(float) for product in products)
    with np.errstate(invalid="ignore"):
        return covariance / np.sqrt(variance_x * variance_y)
