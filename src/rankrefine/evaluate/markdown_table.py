"""Score table that a run prints: Markdown that is also readable as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from rankrefine.score_table import Score

BASE = "base"
TEXT_COLUMNS = 2


def as_markdown(scores: Sequence[Score], resamples: int, confidence: float) -> str:
    """Return one line per task, subset and metric, with the value and the difference to the base for each model.

    An experiment with several random seeds appears as the mean; its trainings are in scores.csv.
    """
    cells = {(score.model, *score.key): score for score in scores}
    others = [model for model in dict.fromkeys(score.model for score in scores) if model != BASE and "/" not in model]
    lines = [["task", "metric", "n", BASE, *(text for name in others for text in (name, f"{name} - {BASE}"))]]
    for base in (score for score in scores if score.model == BASE):
        task = base.task if base.subset == "all" else f"  {base.subset}"
        line = [task, base.metric, str(base.n or ""), _with_sd(base, "value", "sd")]
        for name in others:
            score = cells.get((name, *base.key))
            line += ["-", "-"] if score is None else [_with_sd(score, "value", "sd"), _delta(score)]
        lines.append(line)
    seeds = {score.seeds for score in scores if score.model in others and score.is_mean}
    note = (
        f"Correlations, precisions and accuracies x 100. In brackets the {100 * confidence:g} % interval of the "
        f"difference ({resamples} paired bootstrap resamples)."
    )
    if seeds:
        note += f" Means over {' or '.join(map(str, sorted(seeds)))} random seeds ± standard deviation."
    return f"{_aligned(lines)}\n\n{note}\n"


def _with_sd(score: Score, column: str, sd: str) -> str:
    spread = score.show(sd)
    return f"{score.show(column)} ± {spread}" if spread else score.show(column)


def _delta(score: Score) -> str:
    low, high = score.show("delta_low"), score.show("delta_high")
    return _with_sd(score, "delta", "delta_sd") + (f" [{low}, {high}]" if low else "")


def _aligned(lines: list[list[str]]) -> str:
    """Return a Markdown table with text aligned left and numbers aligned right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width if place < TEXT_COLUMNS else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    padded = [
        [
            text.ljust(width) if place < TEXT_COLUMNS else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:]))
