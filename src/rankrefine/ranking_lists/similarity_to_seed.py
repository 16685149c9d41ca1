"""Teacher similarities between each sentence and the seed sentence of its list, by rank."""

from collections.abc import Sequence
from typing import Any

import numpy as np

QUANTILES = (10, 25, 50, 75, 90)


def to_seed(embeddings: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Cosine similarities to the seed sentence of each list: [lists, longest list], NaN beyond the end of a list.

    `embeddings` are those of the concatenated lists, normalised, [sentences, dim].
    """
    cosines = np.full((len(sizes), max(sizes)), np.nan)
    for row, vectors in zip(cosines, np.split(embeddings, np.cumsum(sizes)[:-1]), strict=True):
        row[: len(vectors)] = vectors @ vectors[0]
    return cosines


def statistics(cosines: np.ndarray) -> dict[str, Any]:
    """Distribution of the `cosines` of `to_seed` by rank, and share of neighbouring ranks in the generated order.

    Returns:
        `by_rank` (rank 0 is the seed sentence); `in_order`, the share of pairs of ranks (r, r + 1), r >= 1, whose
        cosine decreases, None if no list has two rewrites; `in_order_by_rank`, the same share for each r.
    """
    pairs = [_in_order(cosines, rank) for rank in range(1, cosines.shape[1] - 1)]
    total = sum(pair["pairs"] for pair in pairs)
    falling = sum(pair["pairs"] * pair["share"] for pair in pairs)
    return {
        "by_rank": [_distribution(column, rank) for rank, column in enumerate(cosines.T)],
        "in_order": round(falling / total, 6) if total else None,
        "in_order_by_rank": [pair | {"share": round(pair["share"], 6)} for pair in pairs],
    }


def _distribution(column: np.ndarray, rank: int) -> dict[str, float]:
    values = column[~np.isnan(column)]
    quantiles = np.percentile(values, QUANTILES)
    named = {f"q{percent}": round(float(value), 6) for percent, value in zip(QUANTILES, quantiles, strict=True)}
    return {"rank": rank, "lists": len(values), "mean": round(float(values.mean()), 6)} | named


def _in_order(cosines: np.ndarray, rank: int) -> dict[str, float]:
    both = cosines[~np.isnan(cosines[:, rank + 1])]
    return {"rank": rank, "pairs": len(both), "share": float((both[:, rank] > both[:, rank + 1]).mean())}
