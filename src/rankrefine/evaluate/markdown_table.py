"""Score table that a run prints: Markdown that is also readable as plain text."""

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
        line = [task, base.metric, str(base.n or ""), base.show_sd("value")]
        for name in others:
            score = cells.get((name, *base.key))
            difference = score and score.show_sd("delta") + score.show_interval("delta")
            line += [score.show_sd("value"), difference] if score else ["-", "-"]
        lines.append(line)
    seeds = {score.seeds for score in scores if score.model in others and score.is_mean}
    note = (
        f"Correlations, precisions and accuracies x 100. In brackets the {100 * confidence:g} % interval of the "
        f"difference ({resamples} paired bootstrap resamples)."
    )
    if seeds:
        note += f" Means over {' or '.join(map(str, sorted(seeds)))} random seeds ± standard deviation."
    return f"{_aligned(lines)}\n\n{note}\n"


def _aligned(lines: list[list[str]]) -> str:
    """Return a Markdown table with text aligned left and numbers aligned right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numbers = len(widths) - TEXT_COLUMNS
    align = [str.ljust] * TEXT_COLUMNS + [str.rjust] * numbers
    header, *rows = ([pad(*cell) for pad, *cell in zip(align, line, widths, strict=True)] for line in lines)
    ends = [""] * TEXT_COLUMNS + [":"] * numbers
    rule = [end.rjust(width, "-") for end, width in zip(ends, widths, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))
