"""Palette, style and elements that the figures share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# palette of Okabe and Ito, distinguishable with colour vision deficiencies
BLUE, ORANGE, RED, GREY = "#0072B2", "#E69F00", "#D55E00", "#6E6E6E"
OTHERS = (RED, "#009E73", "#CC79A7", ORANGE, "#56B4E9", "#4D4D4D", "#9C7A00")  # blue is the chosen experiment
MARKERS = "s^vDPX"  # the circle is the chosen experiment
DASHES = ("-", "--", ":", "-.")
STYLE = {
    "svg.hashsalt": "rankrefine",  # fixed ids, so that equal figures have equal bytes
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
LONGEST = 28  # characters of a name in a figure


@rc_context(STYLE)
def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG without a date, so that equal figures have equal bytes."""
    figure.savefig(path, format="svg", metadata={"Date": None})


@dataclass(frozen=True)
class Look:
    """Colour, marker and line style of an experiment."""

    color: str
    marker: str = "o"
    dashes: str = "-"


def looks(names: Sequence[str], chosen: str) -> dict[str, Look]:
    """Assign each name a look, the same in every figure: blue for the chosen one, dashes once colours repeat."""
    assigned = {chosen: Look(BLUE)}
    for i, name in enumerate(name for name in names if name != chosen):
        dashes = DASHES[i // len(OTHERS) % len(DASHES)]
        assigned[name] = Look(OTHERS[i % len(OTHERS)], MARKERS[i % len(MARKERS)], dashes)
    return assigned


def short(name: str, longest: int = LONGEST) -> str:
    """Cut `name` to `longest` characters."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def rows(axes: Axes, names: Sequence[str], longest: int = LONGEST) -> None:
    """Set up one row for each name, from top to bottom; names are cut to `longest` characters."""
    axes.set_yticks(range(len(names)), [short(name, longest) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def label_bar(axes: Axes, length: float, y: float, text: str) -> None:
    """Write `text` beside the end of a bar."""
    axes.annotate(text, (length, y), (5, 0), textcoords="offset points", va="center", fontsize=9)


def label_row(axes: Axes, y: float, text: str, color: str) -> None:
    """Write `text` at the right of a row."""
    axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=color)


def zero_line(axes: Axes) -> None:
    """Mark zero with a dashed vertical line behind the data."""
    axes.axvline(0, color=GREY, linewidth=1, linestyle="--", zorder=0.5)


@rc_context(STYLE)
def message(text: str) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    figure = Figure(figsize=(7.5, 1.2))
    axes = figure.subplots()
    axes.axis("off")
    axes.text(0, 0.5, text, va="center", color=GREY)
    return figure
