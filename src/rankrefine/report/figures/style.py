"""Palette, style and elements that the figures share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, PAPER, GRID, PALE = "#000000", "#ffffff", "#e3e3e3", "#c8c8c8"
# palette of Okabe and Ito, distinguishable with colour vision deficiencies; the light ones are darkened for contrast
BLUE, ORANGE, RED, GREY = "#0072b2", "#c98500", "#d55e00", "#6e6e6e"
OTHERS = (RED, "#009e73", "#cc79a7", ORANGE, "#3d9bd3", "#4d4d4d", "#9c7a00")  # blue is the chosen experiment
DARK = {  # each colour on a dark page
    **{INK: "#e9eaed", PAPER: "#16181c", GRID: "#33363d", PALE: "#5a5e68"},
    **{BLUE: "#5cb3f0", ORANGE: "#f0b429", RED: "#ff8a4c", GREY: "#a0a3aa"},
    **{"#009e73": "#35c79a", "#cc79a7": "#e39bc4", "#3d9bd3": "#8fd0ff", "#4d4d4d": "#c4c6cc", "#9c7a00": "#d0ae3a"},
}
MARKERS = "s^vDPX"  # the circle is the chosen experiment
DASHES = ("-", "--", ":", "-.")
STYLE = {
    "svg.hashsalt": "rankrefine",  # fixed ids, so that equal figures have equal bytes
    "svg.fonttype": "none",  # text stays text: small files, sharp at any size
    "font.family": "sans-serif",
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.15,  # inches: a browser's font may be wider than the one measured here
    "figure.constrained_layout.h_pad": 0.08,
}
WIDTH = 6.4  # inches: on a phone, letters of this width's figures are still 9 pixels high
LONGEST = 28  # characters of a name in a figure
# no block of metadata, which would have the date of the drawing
NOTHING = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@rc_context(STYLE)
def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG without a date, so that equal figures have equal bytes."""
    figure.savefig(path, format="svg", metadata=NOTHING)


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
    axes.annotate(text, (length, y), (5, 0), textcoords="offset points", va="center", fontsize=10)


def label_row(axes: Axes, y: float, text: str, color: str, weight: str = "normal") -> None:
    """Write `text` at the right of a row."""
    style = {"va": "center", "fontsize": 10, "color": color, "weight": weight}
    axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), **style)


def zero_line(axes: Axes) -> None:
    """Mark zero with a dashed vertical line behind the data."""
    axes.axvline(0, color=GREY, linewidth=1, linestyle="--", zorder=0.5)


@rc_context(STYLE)
def message(text: str) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    figure = Figure(figsize=(WIDTH, 1.2))
    axes = figure.subplots()
    axes.axis("off")
    axes.text(0, 0.5, text, va="center", color=GREY)
    return figure
