"""Figures of the training: curves of all experiments, and their gains on development data."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rankrefine.export.experiments import summaries
from rankrefine.report.figures.style import (
    BLUE,
    GREY,
    RED,
    STYLE,
    WIDTH,
    Look,
    label_row,
    looks,
    rows,
    short,
    zero_line,
)
from rankrefine.report.records import Record, Records

POINTS = 400  # points of all lines of a kind together: long or many trainings must not make a large file


@rc_context(STYLE)
def training(records: Records) -> Figure:
    """Draw development score and loss of every experiment by step; thin lines are single trainings."""
    names = records.experiments
    assigned = looks(names, records.chosen)
    points, relative = max(20, POINTS // len(records.histories)), len(names) > 1
    figure = Figure(figsize=(WIDTH, 5.4 + (0.12 * len(names) if relative else 0)))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for name in sorted(names, key=lambda name: name == records.chosen):  # the chosen one on top
        look, width = assigned[name], 2.6 if name == records.chosen else 1.6
        _development(top, records.histories_of(name), look, width)
        _loss(bottom, records.histories_of(name), look, width, points, relative)
    top.legend(handles=_references(top, records.history, "base", "exported"), fontsize=10)
    _label(top, bottom, "training loss,\nrelative to its start" if relative else "training loss")
    if relative:
        lines = [
            Line2D([], [], color=look.color, linestyle=look.dashes, linewidth=2.2, label=short(name))
            for name, look in assigned.items()
        ]
        figure.legend(handles=lines, loc="outside lower center", ncols=2)
    figure.align_ylabels()
    return figure


@rc_context(STYLE)
def base_training(records: Records) -> Figure:
    """Draw development score and loss of the base encoder's own training by step."""
    history, look = records.base.history, Look(BLUE)
    figure = Figure(figsize=(WIDTH, 5.4))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _development(top, [history], look, 2.6)
    _loss(bottom, [history], look, 2.6, POINTS, relative=False)
    top.legend(handles=_references(top, history, "start", "kept"), fontsize=10)
    _label(top, bottom, "training loss")
    bottom.xaxis.get_major_locator().set_params(integer=True)
    figure.align_ylabels()
    return figure


def _label(top: Axes, bottom: Axes, loss: str) -> None:
    """Label the axes of development score and loss."""
    top.set_ylabel("development score\n(Spearman × 100)")
    bottom.set_ylabel(loss)
    bottom.set_xlabel("step")


def _development(axes: Axes, histories: Sequence[Record], look: Look, width: float) -> None:
    """Draw the scores of each training, and their mean at the steps that all trainings share."""
    curves = [{entry["step"]: entry["score"] for entry in record["development"]} for record in histories]
    if len(curves) > 1:
        for curve in curves:
            axes.plot(list(curve), list(curve.values()), look.dashes, color=look.color, linewidth=0.7, alpha=0.5)
    shared = sorted(set(curves[0]).intersection(*curves[1:]))
    means = [np.mean([curve[step] for curve in curves]) for step in shared]
    axes.plot(shared, means, look.dashes, marker="o", color=look.color, markersize=4, linewidth=width)


def _loss(axes: Axes, histories: Sequence[Record], look: Look, width: float, points: int, relative: bool) -> None:
    """Draw the loss of each training (thin), and their mean over windows of a tenth of the training (bold)."""
    curves = [
        np.array([(entry["step"], entry["loss"]) for entry in record["steps"]], dtype=float).reshape(-1, 2)
        for record in histories
    ]
    length = min(map(len, curves))
    if not length:
        return
    marker = "o" if length == 1 else ""  # one point makes no line
    thinned = [[thin(curve[:length, column], points) for column in (0, 1)] for curve in curves]
    window = max(1, len(thinned[0][0]) // 10)
    scale = np.mean([losses[:window].mean() for _, losses in thinned]) if relative else 1.0
    for steps, losses in thinned:
        if not relative:
            axes.plot(steps, losses, marker=marker, color=GREY, linewidth=0.8, alpha=0.5)
        elif len(thinned) > 1:
            smooth = rolling(losses, window) / scale
            axes.plot(rolling(steps, window), smooth, color=look.color, linewidth=0.6, alpha=0.4)
    steps, losses = np.mean(thinned, axis=0)
    means = rolling(losses, window) / scale
    axes.plot(rolling(steps, window), means, look.dashes, color=look.color, linewidth=width)


def _references(axes: Axes, history: Record, start: str, kept: str) -> list[Line2D]:
    """Draw the score before the training, called `start`, and the step of the weights that are `kept`."""
    base = axes.axhline(history["base_development"], color=GREY, linestyle="--", linewidth=1, label=start)
    label = f"{kept}: step {history['best_step']}" if history["improved"] else f"{kept}: the {start} itself"
    x, y = history["best_step"], history["best_development"]
    (star,) = axes.plot(x, y, "*", color=RED, markersize=15, linestyle="none", label=label)
    return [base, star]


@rc_context(STYLE)
def experiments(records: Records) -> Figure:
    """Draw each experiment's gain on development data: single trainings, and their mean with standard deviation."""
    gains = summaries(records.selection["candidates"], [])
    figure = Figure(figsize=(WIDTH, 1.3 + 0.36 * len(gains)))
    axes = figure.subplots()
    for y, row in enumerate(gains):
        several = row.seeds > 1
        color = BLUE if row.name == records.chosen else GREY
        mean, sd = np.mean(row.gain), np.std(row.gain, ddof=1) if several else 0.0
        axes.plot([mean - sd, mean + sd], [y, y], color=color, linewidth=2, solid_capstyle="butt")
        if several:
            axes.plot(row.gain, [y] * row.seeds, "o", color=color, markersize=4, alpha=0.6, markeredgewidth=0)
        axes.plot(mean, y, "D" if several else "o", color=color, markersize=6.5)
        label_row(axes, y, f"{mean:+.2f}" + (f" ± {sd:.2f}" if several else ""), color)
    zero_line(axes)
    rows(axes, [row.name for row in gains])
    axes.set_xlabel("development score, gain on the base (Spearman × 100)")
    return figure


def thin(values: np.ndarray, points: int) -> np.ndarray:
    """Reduce `values`, shape [n], to the means of at most `points` stretches of equal length."""
    stretches = np.array_split(values, min(points, len(values))) if len(values) else []
    return np.array([stretch.mean() for stretch in stretches])


def rolling(values: np.ndarray, width: int) -> np.ndarray:
    """Return the means over all windows of `width` neighbours of `values`, shape [n - width + 1]; empty for n = 0."""
    return np.convolve(values, np.full(width, 1 / width), mode="valid") if len(values) else values
