"""What every evaluation hands back: named numbers, with the parts that an interval is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Metric:
    """One number of a model on a task.

    Attributes:
        name: "spearman", "accuracy", "alignment", …
        value: x100 where it is a correlation or a share; alignment, uniformity and effective_rank as they are.
        subset: "all" or the name of the part of the task that it is measured on.
        higher: Whether more is better.
        scores: Numbers `[n]`, one per unit that a bootstrap may draw, whose mean is `value`; or None.
        gold, predicted: Numbers `[n]` each, whose Spearman correlation x100 is `value`; or None.
    """

    name: str
    value: float
    subset: str = "all"
    higher: bool = True
    scores: np.ndarray | None = None
    gold: np.ndarray | None = None
    predicted: np.ndarray | None = None

    @classmethod
    def mean(cls, name: str, scores: np.ndarray, subset: str = "all", higher: bool = True) -> Metric:
        """The metric that is the mean of its scores `[n]`."""
        return cls(name, float(np.mean(scores)), subset, higher, scores)

    def as_dict(self) -> dict[str, Any]:
        """The fields in plain Python, for JSON; the name under the key "metric"."""
        lists = {key: _plain(getattr(self, key)) for key in ("scores", "gold", "predicted")}
        return {"metric": self.name, "subset": self.subset, "value": float(self.value), "higher": self.higher, **lists}


def _plain(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else np.asarray(values).tolist()
