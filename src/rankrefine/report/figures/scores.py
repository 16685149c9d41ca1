"""Figures of the scores: differences to the base, of one experiment and of all, and alignment against uniformity."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrefine.report.figures.style import (
    BLUE,
    GREY,
    INK,
    LONGEST,
    PAPER,
    STYLE,
    WIDTH,
    Look,
    label_row,
    looks,
    message,
    rows,
    short,
    zero_line,
)
from rankrefine.report.records import Records, genre
from rankrefine.score_table import RAW, Score

REPRESENTATION = "Representation"
COLUMNS, SHORTEST = 2, 24  # panels beside each other, and characters of a name beside them


@rc_context(STYLE)
def differences(records: Records) -> Figure:
    """Draw the difference of the exported experiment to the base, with a line for each task and genre."""
    drawn = compared(records)
    lines = [row for row in drawn if row.model == records.chosen]
    if not lines:
        return message("The exported experiment has no difference to the base.")
    several = len({row.metric for row in lines}) > 1
    panels = [[row for row in lines if (row.metric in RAW) == raw] for raw in (False, True)]
    panels = [panel for panel in panels if panel]
    figure = Figure(figsize=(WIDTH, 1.1 + 0.36 * (len(lines) + len(panels))))
    grid = figure.subplots(len(panels), 1, height_ratios=[len(panel) + 1.0 for panel in panels], squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=True):
        _panel(axes, panel, drawn, records)
        rows(axes, [_line(row, several) for row in panel], 40)
        axes.set_xlabel("difference to the base" if several else f"difference to the base ({panel[0].measure})")
    return figure


def compared(records: Records) -> list[Score]:
    """Return the rows with a difference to the base; those of the task Representation have a figure of their own."""
    return [row for row in records.scores if row.delta == row.delta and row.task != REPRESENTATION]


def _line(row: Score, several: bool) -> str:
    """Return the label of a line: the task or, below it, its genre; with the metric if there are several."""
    name = row.task if row.subset == "all" else genre(row.subset)
    return f"{name}, {row.measure}" if several else name


@rc_context(STYLE)
def models(records: Records) -> Figure:
    """Draw the difference of every model to the base, one panel for each task."""
    drawn = [row for row in compared(records) if row.subset == "all"]
    lines = [row for row in drawn if row.model == records.experiment(row)]
    groups: dict[str, list[Score]] = {}
    for row in lines:
        groups.setdefault(f"{row.task}\n{row.measure}", []).append(row)
    if not groups:
        return message("No model has a difference to the base.")
    columns = min(COLUMNS, len(groups))
    lengths = [len(own) for own in groups.values()]
    heights = [max(lengths[i : i + columns]) + 2.0 for i in range(0, len(lengths), columns)]
    figure = Figure(figsize=(WIDTH, 0.6 + 0.29 * sum(heights)))
    grid = figure.subplots(len(heights), columns, height_ratios=heights, squeeze=False)
    for axes in grid.flat[len(groups) :]:
        axes.axis("off")
    before: list[str] = []
    for place, (axes, (title, panel)) in enumerate(zip(grid.flat, groups.items(), strict=False)):
        _panel(axes, panel, drawn, records)
        labels = [row.model for row in panel]
        rows(axes, labels, LONGEST if columns == 1 else SHORTEST)
        axes.tick_params(labelleft=not (place % columns and labels == before), labelsize=10)
        axes.set_title(title, loc="left", fontsize=10)
        before = labels
    figure.supxlabel("difference to the base", fontsize=11)
    return figure


def _panel(axes: Axes, lines: Sequence[Score], drawn: Sequence[Score], records: Records) -> None:
    """Draw interval, mean, single trainings and number of each line; hollow if the interval includes zero."""
    for y, row in enumerate(lines):
        color = BLUE if row.model == records.chosen else GREY
        trainings = [
            other.delta
            for other in drawn
            if other.key == row.key and other.model != row.model and records.experiment(other) == row.model
        ]
        whole = row.subset == "all"
        style = {"color": color, "linewidth": 3.2 if whole else 1.8, "solid_capstyle": "butt"}
        axes.plot([row.delta_low, row.delta_high], [y, y], **style)
        axes.plot(trainings, [y + 0.27] * len(trainings), "o", color=color, markersize=3.5, markeredgewidth=0)
        face = color if row.significant else PAPER
        marker = "D" if row.is_mean else "o"
        size = 8.5 if whole else 6.5
        axes.plot(row.delta, y, marker, color=color, markerfacecolor=face, markersize=size, markeredgewidth=1.5)
        label_row(axes, y, row.show("delta"), color, "bold" if whole and color == BLUE else "normal")
    zero_line(axes)


@rc_context(STYLE)
def representation(records: Records) -> Figure:
    """Draw uniformity against alignment of every encoder; both are better when lower."""
    points = _points(records)
    if not points:
        return message("This run has no task Representation (evaluate.tasks), so there are no points to draw.")
    names = dict.fromkeys(records.experiment(row) for row, _ in points)
    assigned = looks([name for name in names if name != "base"], records.chosen)
    figure = Figure(figsize=(WIDTH, 4.0))
    axes = figure.subplots()
    for row, uniformity in points:
        name = records.experiment(row)
        look = assigned.get(name, Look(INK, "s"))
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
    figure.legend(loc="outside lower center", ncols=3)
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
