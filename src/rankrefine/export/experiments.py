"""Comparison of the experiments: mean and standard deviation over their trainings, on development and test data."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from rankrefine.score_table import Score

MAIN = ("spearman", "map", "accuracy")  # main metrics of tasks, all x 100


@dataclass(frozen=True)
class Summary:
    """Scores of one experiment, all x 100."""

    name: str
    seeds: int  # number of trainings
    development: list[float]  # best development score of each training
    gain: list[float]  # difference of that score to the base, for each training
    test: dict[str, list[float]]  # for each task the scores of the trainings


def summaries(candidates: Sequence[dict[str, Any]], scores: Sequence[Score]) -> list[Summary]:
    """Summarise the experiments, by falling mean development score.

    Args:
        candidates: Trainings with `name`, `seed`, `development` and `base_development`.
        scores: Score table, where trainings are called NAME/SEED beside their mean NAME, and a single training NAME.
    """
    whole = [row for row in scores if row.metric in MAIN and row.subset == "all"]
    experiments = []
    for name in dict.fromkeys(candidate["name"] for candidate in candidates):
        own = [candidate for candidate in candidates if candidate["name"] == name]
        labels = [f"{name}/{candidate['seed']}" for candidate in own]
        test: dict[str, list[float]] = {}
        for row in [row for row in whole if row.model in labels] or [row for row in whole if row.model == name]:
            test.setdefault(row.task, []).append(row.value)
        development = [candidate["development"] for candidate in own]
        gain = [candidate["development"] - candidate["base_development"] for candidate in own]
        experiments.append(Summary(name, len(own), development, gain, test))
    return sorted(experiments, key=lambda summary: -fmean(summary.development))


def as_markdown(experiments: Sequence[Summary], chosen: str) -> str:
    """Format the experiments as a Markdown table, with the chosen one in bold."""
    tasks = list(dict.fromkeys(task for summary in experiments for task in summary.test))
    lines = [
        ["experiment", "seeds", "development", "gain on base", *(f"{task} (test)" for task in tasks)],
        ["---", *["---:"] * (3 + len(tasks))],
    ]
    for summary in experiments:
        name = f"**{summary.name}**" if summary.name == chosen else summary.name
        test = [spread(summary.test.get(task, [])) for task in tasks]
        lines.append([name, str(summary.seeds), spread(summary.development), spread(summary.gain, signed=True), *test])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    note = "Scores x 100, mean over the seeds ± standard deviation. The choice is by development score alone."
    return f"{table}\n\n{note}\n"


def spread(values: Sequence[float], signed: bool = False) -> str:
    """Format the mean of `values`, with their standard deviation if there are several."""
    if not values:
        return "-"
    mean = f"{fmean(values):{'+' if signed else ''}.2f}"
    return f"{mean} ± {stdev(values):.2f}" if len(values) > 1 else mean
