"""The table of scores: `python -m rankrefine scores --results results/evaluate/base/X.json … --output …`."""

from __future__ import annotations

import csv
import logging
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.evaluate.statistics import bootstrap, interval

log = logging.getLogger(__name__)

BASE = "base"


class Row(NamedTuple):
    """One line of the table; values and interval x100."""

    model: str
    task: str
    metric: str
    value: float
    ci_low: float
    ci_high: float


def run(config: dict[str, Any], results: list[Path], output: Path, table: Path) -> None:
    """Write all scores with their bootstrap intervals as CSV, and the table that a run prints as Markdown.

    Args:
        config: Completed configuration; read are `seed` and `evaluate`.
        results: JSON files from `evaluate`, base first.
        output: CSV to write: model, task, metric (`spearman`, or `delta` against the base), value, ci_low, ci_high.
        table: Markdown file to write.

    Raises:
        UserError: a result is damaged or there twice, the base lacks a task, or models saw different pairs of a task.
    """
    by_task = _by_task([_read(path) for path in results])
    names = _short_names([model for models in by_task.values() for model in models])
    resamples, confidence = config["evaluate"]["resamples"], config["evaluate"]["confidence"]
    rows = []
    for task, models in by_task.items():
        rows += task_rows(
            task, {names[m]: result for m, result in models.items()}, resamples, confidence, config["seed"]
        )
    order = {name: place for place, name in enumerate(names.values())}
    rows.sort(key=lambda row: order[row.model])  # stable: tasks keep their order
    pairs = {task: len(models[BASE]["gold"]) for task, models in by_task.items()}
    io.write_text(output, to_csv(rows))
    io.write_text(table, to_markdown(rows, pairs, resamples, confidence))
    log.info("scores: %d rows for %d models on %d tasks.", len(rows), len(order), len(by_task))


def task_rows(
    task: str, results: dict[str, dict[str, Any]], resamples: int, confidence: float, seed: int
) -> list[Row]:
    """The rows of one task: the score of each model, and behind it the difference to the base.

    The resamples depend on the seed and the number of pairs alone, so that another task or model changes nothing here.
    """
    gold, predictions = results[BASE]["gold"], np.array([result["predicted"] for result in results.values()])
    samples = dict(zip(results, 100 * bootstrap(np.array(gold), predictions, resamples, seed), strict=True))
    rows = []
    for model, result in results.items():
        rows.append(Row(model, task, "spearman", result["value"], *interval(samples[model], confidence)))
        if model != BASE:
            delta = result["value"] - results[BASE]["value"]
            rows.append(Row(model, task, "delta", delta, *interval(samples[model] - samples[BASE], confidence)))
    return rows


def to_csv(rows: list[Row]) -> str:
    """The rows as CSV with a header and four decimals."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows((*row[:3], *(f"{number:.4f}" for number in row[3:])) for row in rows)
    return text.getvalue()


def to_markdown(rows: list[Row], pairs: dict[str, int], resamples: int, confidence: float) -> str:
    """One line per task, with a column per model and the difference to the base behind each refined one."""
    cells = {(row.model, row.task, row.metric): row for row in rows}
    others = [model for model in dict.fromkeys(row.model for row in rows) if model != BASE]
    header = ["task", "pairs", BASE, *(text for model in others for text in (model, f"{model} - {BASE}"))]
    lines = [header]
    for task, count in pairs.items():
        line = [task, str(count), _cell(cells.get((BASE, task, "spearman")))]
        for model in others:
            line += [_cell(cells.get((model, task, "spearman"))), _cell(cells.get((model, task, "delta")))]
        lines.append(line)
    note = (
        f"Spearman correlation x 100 of cosine similarity and gold score. In brackets the {100 * confidence:g} % "
        f"interval of the difference ({resamples} paired bootstrap resamples)."
    )
    return f"{_aligned(lines)}\n\n{note}\n"


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    if row.metric == "delta":
        return f"{row.value:+.2f} [{row.ci_low:+.2f}, {row.ci_high:+.2f}]"
    return f"{row.value:.2f}"


def _aligned(lines: list[list[str]]) -> str:
    """A Markdown table that is also readable as plain text: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [line[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:]))


def _read(path: Path) -> dict[str, Any]:
    result = io.read_json(path)
    missing = [key for key in ("task", "model", "value", "gold", "predicted") if key not in result]
    if missing:
        raise UserError(f"{path} is not a result of evaluate (no '{missing[0]}'); delete it and run again.")
    if len(result["gold"]) != len(result["predicted"]):
        raise UserError(f"{path} has {len(result['gold'])} gold scores but {len(result['predicted'])} predictions.")
    return result


def _by_task(results: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Results by task and model, base first.

    Raises:
        UserError: see `run`.
    """
    tasks: dict[str, dict[str, dict[str, Any]]] = {result["task"]: {} for result in results}
    for result in sorted(results, key=lambda result: result["model"] != BASE):
        models = tasks[result["task"]]
        if result["model"] in models:
            raise UserError(f"There are two results of {result['model']} on {result['task']}; give each once.")
        models[result["model"]] = result
    for task, models in tasks.items():
        if BASE not in models:
            raise UserError(f"There is no result of {BASE} on {task} to compare {', '.join(models)} with.")
        for model, result in models.items():
            if result["gold"] != models[BASE]["gold"]:
                raise UserError(
                    f"{model} ({len(result['gold'])} pairs) and {BASE} ({len(models[BASE]['gold'])} pairs) were "
                    f"evaluated on different pairs of {task}; delete both results and run again."
                )
    return tasks


def _short_names(models: list[str]) -> dict[str, str]:
    """Names for the table: NAME/SEED is NAME where that name has one seed only."""
    unique = list(dict.fromkeys(models))
    heads = [model.partition("/")[0] for model in unique]
    return {model: head if heads.count(head) == 1 else model for model, head in zip(unique, heads, strict=True)}
