"""Metrics of a model on a task, with the numbers per unit that intervals are computed from."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np


@dataclass(frozen=True)
class Metric:
    """A metric of a model on a task.

    Attributes:
        name: "spearman", "accuracy", "alignment", …
        value: Value of the metric, x100 for correlations and shares.
        subset: Name of the subset, "all" for the whole task.
        higher: True if more is better.
        scores: Scores `[n]` of the units that a bootstrap may resample, with the mean `value`; or None.
        gold, predicted: Gold and predicted scores `[n]`, whose Spearman correlation x100 is `value`; or None.
    """

    name: str
    value: float
    subset: str = "all"
    higher: bool = True
    scores: np.ndarray | None = None
    gold: np.ndarray | None = None
    predicted: np.ndarray | None = None

    @classmethod
    def mean(cls, name: str, scores: np.ndarray, subset: str = "all", higher: bool = True) -> Self:
        """Return the metric that is the mean of its scores `[n]`."""
        return cls(name, float(np.mean(scores)), subset, higher, scores)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields in plain Python, for JSON; the key of the name is "metric"."""
        fields = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in vars(self).items()}
        return {"metric": fields.pop("name"), **fields}
