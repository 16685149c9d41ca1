"""Write the score tables of all models and tasks, with bootstrap intervals."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rankrefine import io, score_table
from rankrefine.evaluate.markdown_table import as_markdown
from rankrefine.evaluate.resampling import Key, Sample, averages, mean, resample
from rankrefine.evaluate.results import BASE, read_results, write_mteb_results
from rankrefine.evaluate.statistics import interval
from rankrefine.score_table import Score

log = logging.getLogger(__name__)
NAN = float("nan")


def run(
    config: dict[str, Any],
    results: Path,
    models: list[str],
    tasks: list[str],
    output: Path,
    parquet: Path,
    table: Path,
    mteb: Path,
) -> None:
    """Stage 5c: write the score tables with bootstrap intervals.

    Args:
        config: Configuration.
        results: Folder with the results of `evaluate`, MODEL/TASK.json.
        models: Names of the models.
        tasks: Names of the tasks, on which all models were evaluated.
        output: Score table (CSV) to write.
        parquet: Score table (parquet) to write, unrounded.
        table: Table (Markdown) to write, which a run prints.
        mteb: Folder to write MTEB's own results to, in the layout in which they are submitted.

    Raises:
        UserError: a result is missing or damaged, or models were evaluated on different data.
    """
    settings = config["evaluate"]
    by_task = read_results(results, models, tasks)
    samples: dict[str, dict[Key, Sample]] = {model: {} for model in models}
    for task, by_model in by_task.items():
        for model, resampled in resample(task, by_model, settings["resamples"], config["seed"]).items():
            samples[model] |= resampled
    samples = {model: averages(own) | own for model, own in samples.items()}
    scores = [
        score
        for name, members in groups(models).items()
        for score in scores_of(name, members, samples, settings["confidence"])
    ]
    score_table.write(scores, output, parquet)
    io.write_text(table, as_markdown(scores, settings["resamples"], settings["confidence"]))
    write_mteb_results([result for by_model in by_task.values() for result in by_model.values()], mteb)
    log.info("scores: %d rows for %d models on %d tasks.", len(scores), len(models), len(tasks))


def groups(models: Iterable[str]) -> dict[str, list[str]]:
    """Return the names in the table and the models that each is the mean of.

    EXPERIMENT is the mean of all EXPERIMENT/SEED; if there are several, each of them has a row, too.
    """
    by_name: dict[str, list[str]] = {}
    for model in models:
        by_name.setdefault(model.partition("/")[0], []).append(model)
    table = {}
    for name, members in by_name.items():
        table |= {name: members} | {model: [model] for model in members if len(members) > 1}
    return table


def scores_of(name: str, models: list[str], samples: dict[str, dict[Key, Sample]], confidence: float) -> list[Score]:
    """Return the scores of a model, or of the mean over the trainings of an experiment."""
    scores = []
    for key in samples[models[0]]:
        own, base = [samples[model][key] for model in models], samples[BASE][key]
        value = mean(own, own[0].n)
        sd = float(np.std([sample.value for sample in own], ddof=1)) if len(own) > 1 else NAN
        delta = (NAN, NAN, NAN)
        if name != BASE:
            delta = (value.value - base.value, *interval(value.resampled - base.resampled, confidence))
        # the base has one value, so the differences have the standard deviation of the values
        numbers = (value.value, sd, *interval(value.resampled, confidence), delta[0], sd, *delta[1:])
        scores.append(Score(name, len(models), *key, value.n or None, *numbers, value.higher))
    return scores
