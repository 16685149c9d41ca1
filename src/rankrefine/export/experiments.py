"""Experiments side by side: mean and standard deviation over the seeds, on development and test data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

MAIN = ("spearman", "map", "accuracy")  # metrics that stand for a task, all x100


@dataclass(frozen=True)
class Summary:
    """One experiment.

    Attributes:
        seeds: how many trainings.
        development: their best development scores, x100.
        gain: what each of them gained on its own base there.
        test: for each task the scores of the trainings, x100.
    """

    name: str
    seeds: int
    development: list[float]
    gain: list[float]
    test: dict[str, list[float]]


def summaries(candidates: Sequence[dict[str, Any]], scores: Sequence[dict[str, str]]) -> list[Summary]:
    """The experiments by falling mean development score.

    Args:
        candidates: trainings with name, seed, development and base_development.
        scores: rows of the score table; a model is called NAME/SEED, or NAME if it has one seed. NAME beside NAME/SEED
            is the mean of these, and does not count again.
    """
    found = []
    for name in dict.fromkeys(candidate["name"] for candidate in candidates):
        own = [candidate for candidate in candidates if candidate["name"] == name]
        labels = [f"{name}/{candidate['seed']}" for candidate in own]
        whole = [row for row in scores if row["metric"] in MAIN and row["subset"] == "all"]
        rows = [row for row in whole if row["model"] in labels] or [row for row in whole if row["model"] == name]
        tasks = dict.fromkeys(row["task"] for row in rows)
        test = {task: [float(row["value"]) for row in rows if row["task"] == task] for task in tasks}
        development = [candidate["development"] for candidate in own]
        gain = [candidate["development"] - candidate["base_development"] for candidate in own]
        found.append(Summary(name, len(own), development, gain, test))
    return sorted(found, key=lambda summary: -fmean(summary.development))


def as_markdown(found: Sequence[Summary], chosen: str) -> str:
    """A table of the experiments; the chosen one is bold."""
    tasks = list(dict.fromkeys(task for summary in found for task in summary.test))
    lines = [
        ["experiment", "seeds", "development", "gain on base", *(f"{task} (test)" for task in tasks)],
        ["---", *["---:"] * (3 + len(tasks))],
    ]
    for summary in found:
        name = f"**{summary.name}**" if summary.name == chosen else summary.name
        cells = [summary.development, summary.gain, *(summary.test.get(task, []) for task in tasks)]
        texts = [spread(values, signed=place == 1) for place, values in enumerate(cells)]
        lines.append([name, str(summary.seeds), *texts])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    note = "Scores x 100, mean over the seeds ± standard deviation. The development score alone chose."
    return f"{table}\n\n{note}\n"


def spread(values: Sequence[float], signed: bool = False) -> str:
    """Mean and, of several, standard deviation."""
    if not values:
        return "-"
    mean = f"{fmean(values):{'+' if signed else ''}.2f}"
    return f"{mean} ± {stdev(values):.2f}" if len(values) > 1 else mean
