"""Figures of the training: curves of all experiments, and what each of them gained on development data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rankrefine.export.experiments import summaries
from rankrefine.report.collect import Found, Record
from rankrefine.report.figures.style import BLUE, GREY, RED, STYLE, Look, looks, rows, short

POINTS = 400  # points of all lines of a kind together, so that long or many trainings do not make a large file


def training(found: Found) -> Figure:
    """Development score and loss by step of every experiment; thin lines are single seeds."""
    names = found.experiments
    colors = looks(names, found.chosen)
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5 if len(names) == 1 else 9.5, 5.8))
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        for name in sorted(names, key=lambda name: name == found.chosen):  # the chosen one on top
            look, weight = colors[name], 2.6 if name == found.chosen else 1.6
            _development(top, found.seeds_of(name), look, weight)
            _loss(bottom, found.seeds_of(name), look, weight, max(20, POINTS // len(found.histories)), len(names) > 1)
        top.legend(handles=_references(top, found), fontsize=9)
        top.set_ylabel("development score\n(Spearman × 100)")
        bottom.set_ylabel("training loss" if len(names) == 1 else "training loss,\nas part of its start")
        bottom.set_xlabel("step")
        if len(names) > 1:
            lines = [
                Line2D([], [], color=look.color, linestyle=look.dashes, linewidth=2.2, label=short(name))
                for name, look in colors.items()
            ]
            figure.legend(handles=lines, loc="outside right upper")
        figure.align_ylabels()
    return figure


def _development(axes: Axes, seeds: Sequence[Record], look: Look, width: float) -> None:
    """The scores of each seed, and their mean at the steps that all of them have."""
    curves = [{entry["step"]: entry["score"] for entry in record["development"]} for record in seeds]
    if len(curves) > 1:
        for curve in curves:
            axes.plot(list(curve), list(curve.values()), look.dashes, color=look.color, linewidth=0.7, alpha=0.5)
    shared = sorted(set(curves[0]).intersection(*curves[1:]))
    means = [np.mean([curve[step] for curve in curves]) for step in shared]
    axes.plot(shared, means, look.dashes, marker="o", color=look.color, markersize=4, linewidth=width)


def _loss(axes: Axes, seeds: Sequence[Record], look: Look, width: float, points: int, relative: bool) -> None:
    """The loss of each seed as means over a few steps (thin), their mean over a tenth of the training (bold)."""
    curves = [
        np.array([(entry["step"], entry["loss"]) for entry in record["steps"]], dtype=float).reshape(-1, 2)
        for record in seeds
    ]
    length = min(map(len, curves))
    if not length:
        return
    stretches = [[thin(curve[:length, column], points) for column in (0, 1)] for curve in curves]
    window = max(1, len(stretches[0][0]) // 10)
    scale = np.mean([losses[:window].mean() for _, losses in stretches]) if relative else 1.0
    if not relative:
        for steps, losses in stretches:
            axes.plot(steps, losses, color=GREY, linewidth=0.8, alpha=0.5)
    elif len(stretches) > 1:
        for steps, losses in stretches:
            axes.plot(
                rolling(steps, window), rolling(losses, window) / scale, color=look.color, linewidth=0.6, alpha=0.4
            )
    steps, losses = (np.mean([stretch[column] for stretch in stretches], axis=0) for column in (0, 1))
    means = rolling(losses, window) / scale
    axes.plot(rolling(steps, window), means, look.dashes, color=look.color, linewidth=width)


def _references(axes: Axes, found: Found) -> list[Line2D]:
    """The base's score, and the step of the exported encoder."""
    history = found.history
    base = axes.axhline(history["base_development"], color=GREY, linestyle="--", linewidth=1, label="base")
    label = f"exported: step {history['best_step']}" if history["improved"] else "exported: the base itself"
    x, y = history["best_step"], history["best_development"]
    (star,) = axes.plot(x, y, "*", color=RED, markersize=15, linestyle="none", label=label)
    return [base, star]


def experiments(found: Found) -> Figure:
    """What each experiment gained on development data: a dot for each seed, the mean with its standard deviation."""
    found_rows = summaries(found.selection["candidates"], [])
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 1.3 + 0.36 * len(found_rows)))
        axes = figure.subplots()
        for y, row in enumerate(found_rows):
            color = BLUE if row.name == found.chosen else GREY
            mean, sd = np.mean(row.gain), np.std(row.gain, ddof=1) if row.seeds > 1 else 0.0
            axes.plot([mean - sd, mean + sd], [y, y], color=color, linewidth=2, solid_capstyle="butt")
            if row.seeds > 1:
                axes.plot(row.gain, [y] * row.seeds, "o", color=color, markersize=4, alpha=0.6, markeredgewidth=0)
            axes.plot(mean, y, "D" if row.seeds > 1 else "o", color=color, markersize=6.5)
            text = f"{mean:+.2f}" + (f" ± {sd:.2f}" if row.seeds > 1 else "")
            axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=color)
        axes.axvline(0, color=GREY, linewidth=1, linestyle="--", zorder=0.5)
        rows(axes, [row.name for row in found_rows])
        axes.set_xlabel("development score, gain on the base (Spearman × 100)")
    return figure


def thin(values: np.ndarray, points: int) -> np.ndarray:
    """Means of at most `points` stretches of equal length of `values` `[n]`."""
    stretches = np.array_split(values, min(points, len(values))) if len(values) else []
    return np.array([stretch.mean() for stretch in stretches])


def rolling(values: np.ndarray, width: int) -> np.ndarray:
    """Means over every stretch of `width` neighbours of `values` `[n]`: `[n - width + 1]`, none for n = 0."""
    return np.convolve(values, np.full(width, 1 / width), mode="valid") if len(values) else values
