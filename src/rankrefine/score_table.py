"""The columns of the score table, for who writes it and for who reads it."""

from __future__ import annotations

from dataclasses import dataclass

RAW = ("alignment", "uniformity", "effective_rank")  # metrics that are not x100


@dataclass(frozen=True)
class Row:
    """One line of the table: a model, or the mean over an experiment's seeds, on a task or a part of it.

    Attributes:
        model: name of the model, or of the experiment whose seeds are averaged.
        seeds: of how many trainings this is the mean.
        n: pairs, queries or examples; None where a metric has no such.
        value: x100 for correlations, precisions and accuracies.
        sd: standard deviation over the seeds.
        ci_low, ci_high: bootstrap interval of the value over the pairs.
        delta: difference to the base, with its own standard deviation and interval.
        higher: whether more is better.
    """

    model: str
    seeds: int
    task: str
    subset: str
    metric: str
    n: int | None
    value: float
    sd: float
    ci_low: float
    ci_high: float
    delta: float
    delta_sd: float
    delta_low: float
    delta_high: float
    higher: bool
