"""Figures of the scores: differences to the base, and alignment against uniformity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrefine.report.collect import Found
from rankrefine.report.figures.style import BLUE, GREY, LONGEST, STYLE, Look, looks, rows, sentence, short
from rankrefine.report.table import Score, experiment
from rankrefine.score_table import RAW

REPRESENTATION = "Representation"
FEW = 2  # models at most that share a panel with all tasks; with more, each task has its own
COLUMNS = 3
Panel = tuple[str, list[str], list[Score]]  # title, a label for each line, the lines' summary rows


def forest(found: Found) -> Figure:
    """Difference to the base of each model by task and subset, with intervals; seeds as dots on their mean's line."""
    drawn = [row for row in found.scores if row.delta == row.delta and row.task != REPRESENTATION]
    lines = [row for row in drawn if row.summary or not _is_seed(row, found)]
    if not lines:
        return sentence("No model has a difference to the base.")
    models = list(dict.fromkeys(row.model for row in lines))
    panels = _together(lines, len(models)) if len(models) <= FEW else _by_task(lines)
    columns = 1 if len(models) <= FEW else min(COLUMNS, len(panels))
    chosen = {found.chosen}
    with rc_context(STYLE):
        lengths = [len(labels) for _, labels, _ in panels]
        heights = [max(lengths[i : i + columns]) + 2.0 for i in range(0, len(panels), columns)]
        figure = Figure(figsize=(8 if columns == 1 else 3.3 * columns + 1, 0.6 + 0.29 * sum(heights)))
        grid = figure.subplots(len(heights), columns, height_ratios=heights, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.axis("off")
        for place, (axes, (title, labels, summaries)) in enumerate(zip(grid.flat, panels, strict=False)):
            _differences(axes, summaries, drawn, found, chosen)
            rows(axes, labels, 60 if columns == 1 else LONGEST)
            if place % columns and labels == panels[place - 1][1]:
                axes.tick_params(labelleft=False)
            axes.set_title(title, loc="left", fontsize=10 if columns > 1 else 11)
        figure.supxlabel("difference to the base", fontsize=11)
    return figure


def _is_seed(row: Score, found: Found) -> bool:
    """Whether a row is one seed of an experiment that has a summary."""
    return row.model != experiment(row, found.experiments)


def _together(lines: Sequence[Score], models: int) -> list[Panel]:
    """A panel for all metrics that are x100, with the tasks and subsets below each other, and one for the others."""
    panels = []
    for raw in (False, True):
        own = [row for row in lines if (row.metric in RAW) == raw]
        labels = [f"{row.place}: {row.measure.removesuffix(' × 100')}" for row in own]
        if models > 1:
            labels = [f"{label}  {row.model}" for label, row in zip(labels, own, strict=True)]
        if own:
            panels.append(("not × 100" if raw else "× 100", labels, own))
    return panels


def _by_task(lines: Sequence[Score]) -> list[Panel]:
    """A panel for each task, subset and metric, with the models below each other."""
    groups: dict[str, list[Score]] = {}
    for row in lines:
        groups.setdefault(f"{row.place}\n{row.measure}", []).append(row)
    return [(title, [row.model for row in own], own) for title, own in groups.items()]


def _differences(axes: Axes, lines: Sequence[Score], drawn: Sequence[Score], found: Found, chosen: set[str]) -> None:
    """Each line's interval and mean, its seeds as dots, and its number at the right; hollow if it may be zero."""
    for y, row in enumerate(lines):
        color = BLUE if experiment(row, found.experiments) in chosen else GREY
        seeds = [
            other.delta
            for other in drawn
            if (other.task, other.subset, other.metric) == (row.task, row.subset, row.metric)
            and other.model != row.model
            and experiment(other, found.experiments) == row.model
        ]
        axes.plot([row.delta_low, row.delta_high], [y, y], color=color, linewidth=2, solid_capstyle="butt")
        axes.plot(seeds, [y + 0.27] * len(seeds), "o", color=color, markersize=3.5, markeredgewidth=0)
        face = color if row.sure else "white"
        marker = "D" if row.summary else "o"
        axes.plot(row.delta, y, marker, color=color, markerfacecolor=face, markersize=6.5, markeredgewidth=1.5)
        text = row.show("delta", signed=True)
        axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=color)
    axes.axvline(0, color=GREY, linewidth=1, linestyle="--", zorder=0.5)


def representation(found: Found) -> Figure:
    """Uniformity against alignment of every encoder; both are better when lower."""
    points = _points(found)
    if not points:
        return sentence("This run has no task Representation (evaluate.tasks), so there are no points to draw.")
    names = list(dict.fromkeys(name for name, _, _, _ in points))
    colors = looks([name for name in names if name != "base"], found.chosen)
    with rc_context(STYLE):
        figure = Figure(figsize=(8.5, 5))
        axes = figure.subplots()
        for name, row, x, y in points:
            look = colors.get(name, Look("black", "s"))
            if row.model != name:  # a single seed beside its mean
                axes.plot(x, y, "o", color=look.color, markersize=3.5, alpha=0.6, markeredgewidth=0)
                continue
            axes.plot(x, y, look.marker, color=look.color, markersize=9, linestyle="none", label=short(name))
        axes.set_xlabel("alignment (lower is better)")
        axes.set_ylabel("uniformity (lower is better)")
        axes.margins(0.12)
        axes.annotate(
            "better",
            (0.02, 0.02),
            (0.12, 0.12),
            "axes fraction",
            color=GREY,
            arrowprops={"arrowstyle": "->", "color": GREY},
        )
        figure.legend(loc="outside right upper")
    return figure


def _points(found: Found) -> list[tuple[str, Score, float, float]]:
    """(experiment or encoder, its row of alignment, alignment, uniformity)."""
    values = {
        (row.model, row.metric): row
        for row in found.scores
        if row.task == REPRESENTATION and row.subset == "all" and row.metric in RAW
    }
    return [
        (experiment(row, found.experiments), row, row.value, values[model, "uniformity"].value)
        for (model, metric), row in values.items()
        if metric == "alignment" and (model, "uniformity") in values and np.isfinite(row.value)
    ]
