"""Figures of the scores: differences to the base, and alignment against uniformity."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrefine.report.figures.style import (
    BLUE,
    GREY,
    LONGEST,
    STYLE,
    Look,
    label_row,
    looks,
    message,
    rows,
    short,
    zero_line,
)
from rankrefine.report.records import Records
from rankrefine.score_table import RAW, Score

REPRESENTATION = "Representation"
FEW = 2  # maximum number of models that share a panel with all tasks; with more, each task has its own panel
COLUMNS = 3
Panel = tuple[str, list[str], list[Score]]  # title, label of each line, row of each line


@rc_context(STYLE)
def differences(records: Records) -> Figure:
    """Draw the difference to the base by task, subset and model: intervals, and single trainings below their mean."""
    drawn = [row for row in records.scores if row.delta == row.delta and row.task != REPRESENTATION]
    lines = [row for row in drawn if row.model == records.experiment(row)]
    if not lines:
        return message("No model has a difference to the base.")
    models = len({row.model for row in lines})
    panels = _together(lines, models) if models <= FEW else _by_task(lines)
    columns = 1 if models <= FEW else min(COLUMNS, len(panels))
    lengths = [len(labels) for _, labels, _ in panels]
    heights = [max(lengths[i : i + columns]) + 2.0 for i in range(0, len(panels), columns)]
    figure = Figure(figsize=(8 if columns == 1 else 3.3 * columns + 1, 0.6 + 0.29 * sum(heights)))
    grid = figure.subplots(len(heights), columns, height_ratios=heights, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    for place, (axes, (title, labels, panel)) in enumerate(zip(grid.flat, panels, strict=False)):
        _panel(axes, panel, drawn, records)
        rows(axes, labels, 60 if columns == 1 else LONGEST)
        if place % columns and labels == panels[place - 1][1]:
            axes.tick_params(labelleft=False)
        axes.set_title(title, loc="left", fontsize=10 if columns > 1 else 11)
    figure.supxlabel("difference to the base", fontsize=11)
    return figure


def _together(lines: Sequence[Score], models: int) -> list[Panel]:
    """Return one panel for all metrics that are x 100, with tasks and subsets as lines, and one for the others."""
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
    """Return one panel for each task, subset and metric, with the models as lines."""
    groups: dict[str, list[Score]] = {}
    for row in lines:
        groups.setdefault(f"{row.place}\n{row.measure}", []).append(row)
    return [(title, [row.model for row in own], own) for title, own in groups.items()]


def _panel(axes: Axes, lines: Sequence[Score], drawn: Sequence[Score], records: Records) -> None:
    """Draw interval, mean, single trainings and number of each line; hollow if the interval includes zero."""
    for y, row in enumerate(lines):
        color = BLUE if row.model == records.chosen else GREY
        trainings = [
            other.delta
            for other in drawn
            if other.key == row.key and other.model != row.model and records.experiment(other) == row.model
        ]
        axes.plot([row.delta_low, row.delta_high], [y, y], color=color, linewidth=2, solid_capstyle="butt")
        axes.plot(trainings, [y + 0.27] * len(trainings), "o", color=color, markersize=3.5, markeredgewidth=0)
        face = color if row.significant else "white"
        marker = "D" if row.is_mean else "o"
        axes.plot(row.delta, y, marker, color=color, markerfacecolor=face, markersize=6.5, markeredgewidth=1.5)
        label_row(axes, y, row.show("delta"), color)
    zero_line(axes)


@rc_context(STYLE)
def representation(records: Records) -> Figure:
    """Draw uniformity against alignment of every encoder; both are better when lower."""
    points = _points(records)
    if not points:
        return message("This run has no task Representation (evaluate.tasks), so there are no points to draw.")
    names = dict.fromkeys(records.experiment(row) for row, _ in points)
    assigned = looks([name for name in names if name != "base"], records.chosen)
    figure = Figure(figsize=(8.5, 5))
    axes = figure.subplots()
    for row, uniformity in points:
        name = records.experiment(row)
        look = assigned.get(name, Look("black", "s"))
        if row.model != name:  # a single training beside its mean
            style = {"markersize": 3.5, "alpha": 0.6, "markeredgewidth": 0}
            axes.plot(row.value, uniformity, "o", color=look.color, **style)
            continue
        style = {"markersize": 9, "linestyle": "none"}
        axes.plot(row.value, uniformity, look.marker, color=look.color, label=short(name), **style)
    axes.set_xlabel("alignment (lower is better)")
    axes.set_ylabel("uniformity (lower is better)")
    axes.margins(0.12)
    arrow = {"arrowstyle": "->", "color": GREY}
    axes.annotate("better", (0.02, 0.02), (0.12, 0.12), "axes fraction", color=GREY, arrowprops=arrow)
    figure.legend(loc="outside right upper")
    return figure


def _points(records: Records) -> list[tuple[Score, float]]:
    """Return each encoder's row of alignment with its uniformity."""
    whole = [row for row in records.scores if row.task == REPRESENTATION and row.subset == "all"]
    uniformity = {row.model: row.value for row in whole if row.metric == "uniformity"}
    return [
        (row, uniformity[row.model])
        for row in whole
        if row.metric == "alignment" and row.model in uniformity and np.isfinite(row.value)
    ]
