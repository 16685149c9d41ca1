"""Read the results of `evaluate`, and write MTEB's part of them in MTEB's own layout."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rankrefine import io
from rankrefine.errors import UserError

BASE = "base"


def read_results(folder: Path, models: list[str], tasks: list[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Read FOLDER/MODEL/TASK.json for all models and tasks, and return the results by task and model.

    Raises:
        UserError: there is no base, a result is missing or damaged, or models were evaluated on different data.
    """
    if BASE not in models:
        raise UserError(f"The models ({', '.join(models)}) do not include {BASE}, with which the others are compared.")
    results = {task: {model: _read(folder / model / f"{task}.json") for model in models} for task in tasks}
    for by_model in results.values():
        for result in by_model.values():
            if result["texts"] != by_model[BASE]["texts"]:
                raise different_data(result)
    return results


def matching_metric(result: dict[str, Any], metric: dict[str, Any]) -> dict[str, Any]:
    """Return the metric of `result` that corresponds to `metric` of the base.

    Raises:
        UserError: there is none, or it was computed on different data.
    """
    for own in result["metrics"]:
        if (own["metric"], own["subset"]) != (metric["metric"], metric["subset"]):
            continue
        if own["gold"] == metric["gold"] and np.shape(own["scores"]) == np.shape(metric["scores"]):
            return own
    raise different_data(result)


def different_data(result: dict[str, Any]) -> UserError:
    """Return the error for a result on data that differ from those of the base."""
    return UserError(
        f"{result['model']} and {BASE} were evaluated on different data of {result['task']}; delete both results and "
        "run again."
    )


def write_mteb_results(results: Iterable[dict[str, Any]], folder: Path) -> None:
    """Write MTEB's own results in the layout in which they are submitted: MODEL/REVISION/{TASK,model_meta}.json."""
    with io.atomic(folder) as temporary:
        temporary.mkdir(parents=True)
        for result in results:
            if not result.get("mteb"):  # a task of our own
                continue
            model = f"rankrefine/{result['model'].replace('/', '-')}"
            meta = result["mteb"]["model_meta"] | {"name": model, "revision": result["revision"]}
            own = temporary / model.replace("/", "__") / result["revision"].replace("/", "_")
            own.mkdir(parents=True, exist_ok=True)
            for name, content in (("model_meta", meta), (result["task"], result["mteb"]["result"])):
                (own / f"{name}.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    result = io.read_json(path)
    if missing := [key for key in ("task", "model", "metrics", "texts", "revision") if key not in result]:
        raise UserError(f"{path} is not a result of evaluate (no '{missing[0]}'); delete it and run again.")
    for metric in result["metrics"]:
        if metric["gold"] is not None and len(metric["gold"]) != len(metric["predicted"]):
            raise UserError(f"{path}: {metric['metric']} has different numbers of gold scores and predictions.")
        if not np.isfinite(metric["value"]):
            raise UserError(f"{path}: {metric['metric']} ({metric['subset']}) is {metric['value']}, not a number.")
    return result
