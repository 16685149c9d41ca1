"""What all figures share: palette, style, and how they become files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with every kind of colour vision
BLUE, ORANGE, RED, GREY = "#0072B2", "#E69F00", "#D55E00", "#6E6E6E"
OTHERS = (RED, "#009E73", "#CC79A7", ORANGE, "#56B4E9", "#4D4D4D", "#9C7A00")  # blue is the chosen one's
MARKERS = "s^vDPX"  # the circle is the chosen one's
DASHES = ("-", "--", ":", "-.")
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
LONGEST = 28  # characters of a name in a figure


def save(figure: Figure, path: Path) -> None:
    """Write an SVG whose bytes depend on what it shows alone."""
    with rc_context(STYLE):
        figure.savefig(path, format="svg", metadata={"Date": None})


@dataclass(frozen=True)
class Look:
    """How an experiment is drawn."""

    color: str
    marker: str = "o"
    dashes: str = "-"


def looks(names: Sequence[str], chosen: str) -> dict[str, Look]:
    """The look of each name, the same in every figure: blue for the chosen one, dashes where colours repeat."""
    found = {chosen: Look(BLUE)}
    for i, name in enumerate(name for name in names if name != chosen):
        dashes = DASHES[i // len(OTHERS) % len(DASHES)]
        found[name] = Look(OTHERS[i % len(OTHERS)], MARKERS[i % len(MARKERS)], dashes)
    return found


def short(name: str, longest: int = LONGEST) -> str:
    """`name`, cut where it would squeeze a figure."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def rows(axes: Axes, names: Sequence[str], longest: int = LONGEST) -> None:
    """One line for each name, the first one above; names are cut at `longest` characters."""
    axes.set_yticks(range(len(names)), [short(name, longest) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def sentence(text: str) -> Figure:
    """A figure of a run that has nothing to draw: it says so."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 1.2))
        axes = figure.subplots()
        axes.axis("off")
        axes.text(0, 0.5, text, va="center", color=GREY)
    return figure
