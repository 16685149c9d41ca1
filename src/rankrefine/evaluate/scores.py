"""The tables of scores: `python -m rankrefine scores --models base … --tasks X … --output …`."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.evaluate.catalogue import AVERAGED, SUITES
from rankrefine.evaluate.markdown_table import as_markdown
from rankrefine.evaluate.statistics import bootstrap, bootstrap_means, interval
from rankrefine.score_table import Row

log = logging.getLogger(__name__)

BASE = "base"
NAN = float("nan")


@dataclass(frozen=True)
class Sample:
    """A metric of one model: its value, and its value on each resample (`[B]`, NaN where it has no interval)."""

    value: float
    resampled: np.ndarray
    n: int
    higher: bool = True


Key = tuple[str, str, str]  # task, subset, metric


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
    """Write all scores with their bootstrap intervals.

    Args:
        config: Completed configuration; read are `seed` and `evaluate`.
        results: Folder with the results of `evaluate`, MODEL/TASK.json.
        models: The models, which all have
        tasks: all tasks.
        output: CSV to write, a line per `Row`.
        parquet: The same as parquet.
        table: Markdown file to write: what a run prints.
        mteb: Folder to write: MTEB's own results in the layout in which they can be submitted.

    Raises:
        UserError: a result is missing or damaged, or models saw different data of a task.
    """
    read = _read_all(results, models, tasks)
    settings = config["evaluate"]
    samples: dict[str, dict[Key, Sample]] = {model: {} for model in models}
    for task, by_model in read.items():
        for model, found in resampled(task, by_model, settings["resamples"], config["seed"]).items():
            samples[model] |= found
    for model in models:
        samples[model] = averages(samples[model]) | samples[model]
    rows = [
        row for name, seeds in grouped(models).items() for row in rows_of(name, seeds, samples, settings["confidence"])
    ]
    _write(rows, output, parquet)
    io.write_text(table, as_markdown(rows, settings["resamples"], settings["confidence"]))
    _write_mteb([result for by_model in read.values() for result in by_model.values()], mteb)
    log.info("scores: %d rows for %d models on %d tasks.", len(rows), len(models), len(tasks))


def resampled(task: str, models: dict[str, dict[str, Any]], resamples: int, seed: int) -> dict[str, dict[Key, Sample]]:
    """The metrics of all models on one task, resampled alike, so that their differences are paired.

    The draw depends on the run's seed, the task and the number of its pairs alone: another task or model changes
    nothing here, and tasks are independent of each other.
    """
    draw = zlib.crc32(f"{seed} {task}".encode())
    found: dict[str, dict[Key, Sample]] = {model: {} for model in models}
    for metric in models[BASE]["metrics"]:
        key = (task, metric["subset"], metric["metric"])
        ours = {model: _same(result, metric) for model, result in models.items()}
        if metric["gold"] is not None:
            predictions = np.array([one["predicted"] for one in ours.values()])
            drawn = 100 * bootstrap(np.array(metric["gold"]), predictions, resamples, draw)
            n = len(metric["gold"])
        elif metric["scores"] is not None:
            drawn = bootstrap_means(np.array([one["scores"] for one in ours.values()]), resamples, draw)
            n = len(metric["scores"])
        else:
            drawn, n = np.full((len(ours), resamples), np.nan), 0
        for (model, one), row in zip(ours.items(), drawn, strict=True):
            found[model][key] = Sample(one["value"], row, n, metric["higher"])
    return found


def averages(found: dict[Key, Sample]) -> dict[Key, Sample]:
    """The mean over each suite whose tasks are all there; none of a suite that lacks one."""
    means = {}
    for suite in AVERAGED:
        own = {key[0]: (key, sample) for key, sample in found.items() if key[1] == "all" and key[2] != "f1"}
        parts = [own[task] for task in SUITES[suite] if task in own]
        if len(parts) == len(SUITES[suite]):
            metric = parts[0][0][2] if len({key[2] for key, _ in parts}) == 1 else "mean"
            samples = [sample for _, sample in parts]
            means[f"average ({suite})", "all", metric] = mean(samples, n=sum(sample.n for sample in samples))
    return means


def mean(samples: list[Sample], n: int) -> Sample:
    """The mean of metrics, with that of their resamples."""
    resamples = np.mean([sample.resampled for sample in samples], axis=0)
    return Sample(float(np.mean([sample.value for sample in samples])), resamples, n, samples[0].higher)


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Rows of the table and the models that each is the mean of: NAME for NAME/SEED, and each seed where several."""
    by_name: dict[str, list[str]] = {}
    for name in names:
        by_name.setdefault(name.partition("/")[0], []).append(name)
    found = {}
    for name, models in by_name.items():
        found[name] = models
        if len(models) > 1:
            found |= {model: [model] for model in models}
    return found


def rows_of(name: str, models: list[str], samples: dict[str, dict[Key, Sample]], confidence: float) -> list[Row]:
    """The rows of a model, or of the mean over an experiment's seeds."""
    rows = []
    for key in samples[models[0]]:
        own = [samples[model][key] for model in models]
        base = samples[BASE][key]
        value = mean(own, own[0].n)
        delta = Sample(value.value - base.value, value.resampled - base.resampled, value.n)
        is_base = name == BASE
        spread = _sd([sample.value for sample in own])
        rows.append(
            Row(
                name,
                len(models),
                *key,
                value.n or None,
                value.value,
                spread,
                *interval(value.resampled, confidence),
                NAN if is_base else delta.value,
                spread,  # the base has one value, so that the differences spread as the values do
                *((NAN, NAN) if is_base else interval(delta.resampled, confidence)),
                value.higher,
            )
        )
    return rows


def _sd(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else NAN


def _same(result: dict[str, Any], metric: dict[str, Any]) -> dict[str, Any]:
    """A model's metric that is the base's `metric`.

    Raises:
        UserError: it has none, or it is about other data.
    """
    for one in result["metrics"]:
        if (one["metric"], one["subset"]) != (metric["metric"], metric["subset"]):
            continue
        if one["gold"] == metric["gold"] and np.shape(one["scores"]) == np.shape(metric["scores"]):
            return one
    raise UserError(_different(result))


def _different(result: dict[str, Any]) -> str:
    return (
        f"{result['model']} and {BASE} were evaluated on different data of {result['task']}; delete both results and "
        "run again."
    )


def _write(rows: list[Row], csv: Path, parquet: Path) -> None:
    """The rows as CSV with four decimals, where what does not exist is empty, and as they are in parquet."""
    import pandas as pd
    import pyarrow as pa

    frame = pd.DataFrame([[getattr(row, field.name) for field in fields(Row)] for row in rows], columns=_columns())
    frame["n"] = frame["n"].astype("Int64")  # else one that is missing makes all of them fractions
    io.write_text(csv, frame.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
    io.write_table(parquet, pa.Table.from_pandas(frame, preserve_index=False))


def _columns() -> list[str]:
    return [field.name for field in fields(Row)]


def _write_mteb(results: list[dict[str, Any]], folder: Path) -> None:
    """MODEL/REVISION/TASK.json, MTEB's layout, with the file that says which model it is."""
    with io.atomic(folder) as aside:
        aside.mkdir(parents=True)
        for result in results:
            if result.get("mteb") is None:
                continue
            meta = result["mteb"]["model_meta"]
            own = aside / meta["name"].replace("/", "__") / str(meta["revision"]).replace("/", "_")
            own.mkdir(parents=True, exist_ok=True)
            for name, content in (("model_meta", meta), (result["task"], result["mteb"]["result"])):
                (own / f"{name}.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    result = io.read_json(path)
    missing = [key for key in ("task", "model", "metrics", "texts", "revision") if key not in result]
    if missing:
        raise UserError(f"{path} is not a result of evaluate (no '{missing[0]}'); delete it and run again.")
    for metric in result["metrics"]:
        sizes = {len(metric[key]) for key in ("gold", "predicted") if metric[key] is not None}
        if len(sizes) > 1:
            raise UserError(f"{path}: {metric['metric']} has other numbers of gold scores and predictions.")
        if not np.isfinite(metric["value"]):
            raise UserError(f"{path}: {metric['metric']} ({metric['subset']}) is {metric['value']}, not a number.")
    return result


def _read_all(folder: Path, models: list[str], tasks: list[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """The results by task and model.

    Raises:
        UserError: see `run`.
    """
    if BASE not in models:
        raise UserError(f"There is no {BASE} among the models ({', '.join(models)}) to compare the others with.")
    found = {task: {model: _read(folder / model / f"{task}.json") for model in models} for task in tasks}
    for by_model in found.values():
        for result in by_model.values():
            if result["texts"] != by_model[BASE]["texts"]:
                raise UserError(_different(result))
    return found
