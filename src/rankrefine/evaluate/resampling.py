"""Bootstrap samples of metrics, and their means over suites and random seeds."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from rankrefine.evaluate.catalogue import AVERAGED, SUITES
from rankrefine.evaluate.results import BASE, matching_metric
from rankrefine.evaluate.statistics import bootstrap, bootstrap_means

Key = tuple[str, str, str]  # task, subset, metric


@dataclass(frozen=True)
class Sample:
    """A metric of a model."""

    value: float
    resampled: np.ndarray  # values on the resamples `[B]`; NaN for a metric without an interval
    n: int  # number of units; 0 for a metric without units
    higher: bool = True  # True if more is better


def resample(
    task: str, results: dict[str, dict[str, Any]], resamples: int, random_seed: int
) -> dict[str, dict[Key, Sample]]:
    """Resample the metrics of all models on one task, with the same draws, so that differences are paired.

    The draws depend only on the random seed, the task and the number of its units: other tasks and models do not
    change them, and tasks are independent of each other.
    """
    draw = zlib.crc32(f"{random_seed} {task}".encode())
    samples: dict[str, dict[Key, Sample]] = {model: {} for model in results}
    for metric in results[BASE]["metrics"]:
        metrics = {model: matching_metric(result, metric) for model, result in results.items()}
        if metric["gold"] is not None:
            predictions = np.array([own["predicted"] for own in metrics.values()])
            drawn = 100 * bootstrap(np.array(metric["gold"]), predictions, resamples, draw)
            n = len(metric["gold"])
        elif metric["scores"] is not None:
            drawn = bootstrap_means(np.array([own["scores"] for own in metrics.values()]), resamples, draw)
            n = len(metric["scores"])
        else:
            drawn, n = np.full((len(metrics), resamples), np.nan), 0
        key = (task, metric["subset"], metric["metric"])
        for (model, own), row in zip(metrics.items(), drawn, strict=True):
            samples[model][key] = Sample(own["value"], row, n, metric["higher"])
    return samples


def averages(samples: dict[Key, Sample]) -> dict[Key, Sample]:
    """Return the mean over each suite in `AVERAGED` of which all tasks were evaluated."""
    main = {task: metric for task, subset, metric in samples if subset == "all" and metric != "f1"}
    means = {}
    for suite in AVERAGED:
        if not set(SUITES[suite]) <= set(main):
            continue
        metrics = {main[task] for task in SUITES[suite]}
        of_tasks = [samples[task, "all", main[task]] for task in SUITES[suite]]
        key = (f"average ({suite})", "all", metrics.pop() if len(metrics) == 1 else "mean")
        means[key] = mean(of_tasks, n=sum(sample.n for sample in of_tasks))
    return means


def mean(samples: list[Sample], n: int) -> Sample:
    """Return the mean of metrics and of their resamples."""
    resampled = np.mean([sample.resampled for sample in samples], axis=0)
    return Sample(float(np.mean([sample.value for sample in samples])), resampled, n, samples[0].higher)
