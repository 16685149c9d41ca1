"""The report's figures, drawn from the collected records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrefine.refine.experiments import summaries
from rankrefine.report.data import Found, Record, Score

# Okabe and Ito's palette, told apart with every kind of colour vision
BLUE, ORANGE, RED, GREY = "#0072B2", "#E69F00", "#D55E00", "#6E6E6E"
STYLE = {
    "svg.hashsalt": "rankrefine",  # ids, and with them the bytes, are the same in every run
    "svg.fonttype": "none",  # text stays text: small files, sharp at any size
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.15,  # inches: a browser's font may be wider than the one measured here
    "figure.constrained_layout.h_pad": 0.08,
}
BEHIND = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.5}  # of text on lines
POINTS = 400  # points at most of a line, so that a long training does not make a large file


def save(figure: Figure, path: Path) -> None:
    """Write an SVG whose bytes depend on what it shows alone."""
    with rc_context(STYLE):
        figure.savefig(path, format="svg", metadata={"Date": None})


def scores(found: Found) -> Figure:
    """Forest plot: each model's score with its interval, and beside it the difference to the base."""
    values = [row for row in found.scores if row.metric != "delta"]
    deltas = [row for row in found.scores if row.metric == "delta"]
    tasks = list(dict.fromkeys(row.task for row in values))
    models = list(dict.fromkeys(row.model for row in values))
    height = 1.2 + 0.36 * len(tasks) * (len(models) + 0.5)
    with rc_context(STYLE):
        figure = Figure(figsize=(9, height))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        places = {(t, m): i * (len(models) + 0.5) + j for i, t in enumerate(tasks) for j, m in enumerate(models)}
        _intervals(left, values, places, models)
        _intervals(right, deltas, places, models)
        right.axvline(0, color=GREY, linewidth=1, linestyle="--")
        names = [m if len(tasks) == 1 else f"{t}  {m}" for t, m in places]
        left.set_yticks(list(places.values()), names)
        left.set_ylim(max(places.values()) + 0.7, -0.7)
        left.grid(axis="y", visible=False)
        right.grid(axis="y", visible=False)
        left.set_xlabel("Spearman × 100" + (f" on {tasks[0]}" if len(tasks) == 1 else ""))
        right.set_xlabel("difference to base")
    return figure


def _intervals(axes: Axes, rows: list[Score], places: dict[tuple[str, str], float], models: list[str]) -> None:
    """One dot with its interval and its number for each row."""
    for row in rows:
        y = places[row.task, row.model]
        color = GREY if row.model == models[0] else BLUE
        axes.plot([row.low, row.high], [y, y], color=color, linewidth=2, solid_capstyle="butt")
        axes.plot(row.value, y, "o", color=color, markersize=7)
        text = f"{row.value:+.2f}" if row.metric == "delta" else f"{row.value:.2f}"
        axes.annotate(text, (row.value, y), (0, 7), textcoords="offset points", ha="center", fontsize=9, bbox=BEHIND)


def experiments(found: Found) -> Figure:
    """What each experiment gained on development data: a dot for each seed, the mean with its standard deviation."""
    rows = summaries(found.selection["candidates"], [])
    chosen = found.selection["chosen"].rpartition("/")[0]
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 1.4 + 0.42 * len(rows)))
        axes = figure.subplots()
        for y, row in enumerate(rows):
            color = BLUE if row.name == chosen else GREY
            mean, sd = np.mean(row.gain), np.std(row.gain, ddof=1) if row.seeds > 1 else 0.0
            axes.plot(row.gain, [y] * row.seeds, "o", color=color, markersize=4, alpha=0.5)
            axes.plot([mean - sd, mean + sd], [y, y], color=color, linewidth=2, solid_capstyle="butt")
            axes.plot(mean, y, "D", color=color, markersize=6)
            axes.annotate(f"{mean:+.2f}", (mean, y), (0, 7), textcoords="offset points", ha="center", fontsize=9)
        axes.axvline(0, color=GREY, linewidth=1, linestyle="--")
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.7)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("development score, gain on the base (Spearman × 100)")
    return figure


def similarity(found: Found) -> Figure:
    """The teacher's cosine to the seed by rank: mean, and where the middle half and the middle 80 % of lists lie."""
    ranks = found.similarity["by_rank"]
    x = [entry["rank"] for entry in ranks]
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4.2))
        axes = figure.subplots()
        for low, high, opacity in (("q10", "q90", 0.15), ("q25", "q75", 0.3)):
            label = f"{low[1:]} to {high[1:]} % of lists"
            band = ([entry[low] for entry in ranks], [entry[high] for entry in ranks])
            axes.fill_between(x, *band, color=BLUE, alpha=opacity, linewidth=0, label=label)
        axes.plot(x, [entry["mean"] for entry in ranks], "o-", color=BLUE, markersize=4, label="mean")
        axes.set_xlabel("rank in the list (0 is the seed sentence)")
        axes.set_ylabel("teacher cosine to the seed")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        share = found.similarity.get("in_order")
        if share is not None:
            title = f"neighbouring rewrites in the generated order: {100 * share:.1f} %"
            axes.set_title(title, loc="left", fontsize=11)
    return figure


def drops(found: Found) -> Figure:
    """What each stage kept, and how much it dropped for which reason."""
    stages = [
        ("Seed sentences", found.seeds),
        ("Generated chains", found.generate),
        ("Ranking lists", found.consolidate),
    ]
    bars = [_bars(record) for _, record in stages]
    with rc_context(STYLE):
        figure = Figure(figsize=(8, 2.4 + 0.32 * sum(map(len, bars))))
        panels = figure.subplots(len(bars), 1, height_ratios=[len(rows) + 1 for rows in bars])
        for axes, (title, record), rows in zip(panels, stages, bars, strict=True):
            total = record["read"] if isinstance(record["read"], int | float) else sum(record["read"].values())
            _bar_panel(axes, f"{title}: {record['kept']:,} of {total:,} kept", rows, total)
    return figure


def _bars(record: Record) -> list[tuple[str, int]]:
    """(label, count) of what was kept, then of each reason that occurred, the most frequent first."""
    dropped = [(reason, count) for reason, count in record["dropped"].items() if count]
    return [("kept", record["kept"]), *sorted(dropped, key=lambda row: (-row[1], row[0]))]


def _bar_panel(axes: Axes, title: str, rows: list[tuple[str, int]], total: int) -> None:
    names, counts = zip(*rows, strict=True)
    axes.barh(range(len(rows)), counts, height=0.7, color=[BLUE, *[ORANGE] * (len(rows) - 1)])
    axes.set_yticks(range(len(rows)), [name.replace("_", " ") for name in names])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.18 * max(*counts, 1))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", visible=False)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    for y, count in enumerate(counts):
        text = f"{count:,} ({100 * count / max(total, 1):.1f} %)"
        axes.annotate(text, (count, y), (4, 0), textcoords="offset points", va="center", fontsize=9)


def training(found: Found) -> Figure:
    """Loss and development score by step, with the base's score and the step that was kept."""
    history = found.history
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 5.6))
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        _development(top, history)
        steps, losses = (
            thin(np.array([entry[key] for entry in history["steps"]], dtype=float), POINTS) for key in ("step", "loss")
        )
        bottom.plot(steps, losses, color=GREY, linewidth=0.8, alpha=0.5)
        width = max(1, len(losses) // 10)
        bottom.plot(rolling(steps, width), rolling(losses, width), color=BLUE, linewidth=2)
        bottom.set_ylabel("training loss")
        bottom.set_xlabel("step")
        figure.align_ylabels()
    return figure


def _development(axes: Axes, history: Record) -> None:
    points = [(entry["step"], entry["score"]) for entry in history["development"]]
    axes.plot(*zip(*points, strict=True), "o-", color=BLUE, markersize=4, label="during training")
    axes.axhline(history["base_development"], color=GREY, linestyle="--", linewidth=1, label="base")
    best = history["best_step"]
    label = f"kept: step {best}" if history["improved"] else "kept: the base itself"
    axes.plot(best, history["best_development"], "*", color=RED, markersize=15, label=label)
    axes.set_ylabel("development score\n(Spearman × 100)")
    axes.legend()


def thin(values: np.ndarray, points: int) -> np.ndarray:
    """Means of at most `points` stretches of equal length of `values` `[n]`."""
    stretches = np.array_split(values, min(points, len(values))) if len(values) else []
    return np.array([stretch.mean() for stretch in stretches])


def rolling(values: np.ndarray, width: int) -> np.ndarray:
    """Means over every stretch of `width` neighbours of `values` `[n]`: `[n - width + 1]`, none for n = 0."""
    return np.convolve(values, np.full(width, 1 / width), mode="valid") if len(values) else values
