"""Figure of the training examples of the base encoder: how the scorer judges them."""

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rankrefine.report.figures.style import BLUE, ORANGE, STYLE, WIDTH
from rankrefine.report.records import Records

BINS = 40
LOOKS = {"positive": (BLUE, "-"), "negative": (ORANGE, "--")}
THRESHOLDS = {"positive": "min_positive", "negative": "max_negative"}


@rc_context(STYLE)
def base_scores(records: Records) -> Figure:
    """Draw histograms of the scorer's scores of positives and of negatives, with the thresholds."""
    examples = records.base.examples
    scores = {role: examples.scores[role] for role in LOOKS}
    together = np.concatenate(list(scores.values()))
    edges = np.histogram_bin_edges(together[np.isfinite(together)], BINS)
    figure = Figure(figsize=(WIDTH, 4.2))
    axes = figure.subplots()
    for role, values in scores.items():
        _histogram(axes, role, values[np.isfinite(values)], edges)
        threshold = examples.curated["config"]["examples"][THRESHOLDS[role]]
        if edges[0] < threshold < edges[-1]:
            color, _ = LOOKS[role]
            axes.axvline(threshold, color=color, linewidth=1.2, linestyle=":", label=THRESHOLDS[role])
    axes.set_xlabel("score of the text with its anchor, by the scorer")
    axes.set_ylabel("examples")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=10, loc="upper left", bbox_to_anchor=(0, -0.18), ncols=2)
    both = np.isfinite(scores["positive"]) & np.isfinite(scores["negative"])
    if both.any():
        nearer = np.mean(scores["positive"][both] > scores["negative"][both])
        axes.set_title(
            f"positive nearer to the anchor than the negative: {100 * nearer:.1f} %", loc="left", fontsize=11
        )
    return figure


def _histogram(axes: Axes, role: str, values: np.ndarray, edges: np.ndarray) -> None:
    """Draw a filled histogram with an outline, and the number and the median in the legend."""
    if not len(values):
        return
    color, dashes = LOOKS[role]
    label = f"{len(values):,} {role}s, median {np.median(values):.2f}"
    axes.hist(values, edges, histtype="stepfilled", color=color, alpha=0.25)
    axes.hist(values, edges, histtype="step", color=color, linestyle=dashes, linewidth=1.8, label=label)
