"""The score table that a run prints: Markdown that is also readable as plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rankrefine.score_table import RAW, Row

BASE = "base"


def as_markdown(rows: Sequence[Row], resamples: int, confidence: float) -> str:
    """One line per task, subset and metric, with a column per model and its difference to the base behind it.

    Of an experiment with several seeds only the mean is shown; the single ones are in scores.csv.
    """
    cells = {(row.model, row.task, row.subset, row.metric): row for row in rows}
    others = [model for model in dict.fromkeys(row.model for row in rows) if model != BASE and "/" not in model]
    lines = [["task", "metric", "n", BASE, *(text for name in others for text in (name, f"{name} - {BASE}"))]]
    for row in (row for row in rows if row.model == BASE):
        task = row.task if row.subset == "all" else f"  {row.subset}"
        line = [task, row.metric, str(row.n or ""), _value(row)]
        for name in others:
            found = cells.get((name, row.task, row.subset, row.metric))
            line += ["-", "-"] if found is None else [_value(found), _delta(found)]
        lines.append(line)
    seeds = {row.seeds for row in rows if row.model in others and row.seeds > 1}
    note = (
        f"Correlations, precisions and accuracies x 100. In brackets the {100 * confidence:g} % interval of the "
        f"difference ({resamples} paired bootstrap resamples)."
    )
    if seeds:
        note += f" Means over {' or '.join(map(str, sorted(seeds)))} seeds ± standard deviation."
    return f"{_aligned(lines)}\n\n{note}\n"


def _digits(row: Row) -> int:
    return 3 if row.metric in RAW else 2


def _value(row: Row) -> str:
    return f"{row.value:.{_digits(row)}f}" + _spread(row.sd, _digits(row))


def _delta(row: Row) -> str:
    digits = _digits(row)
    text = f"{row.delta:+.{digits}f}" + _spread(row.delta_sd, digits)
    if math.isnan(row.delta_low):
        return text
    return f"{text} [{row.delta_low:+.{digits}f}, {row.delta_high:+.{digits}f}]"


def _spread(sd: float, digits: int) -> str:
    return "" if math.isnan(sd) else f" ± {sd:.{digits}f}"


def _aligned(lines: list[list[str]]) -> str:
    """A Markdown table: texts to the left, numbers to the right."""
    texts = 2
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width if place < texts else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    padded = [
        [
            text.ljust(width) if place < texts else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:]))
