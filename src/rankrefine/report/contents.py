"""Contents of the report: all figures and pages in the order of its menu. Standard library only."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Item:
    """A figure (SVG) or a page (HTML), drawn by the function of `module` that is called like the stem of `file`.

    `workflow/report/STEM.rst` is its caption.
    """

    file: str  # in `results/report`
    module: str  # below `rankrefine.report`
    category: str  # of Snakemake's menu
    label: str  # within the category
    needs: str = ""  # what a run must have for this item, a key of `has` in `items`

    @property
    def stem(self) -> str:
        """Name of the function and of the caption."""
        return self.file.partition(".")[0]

    @property
    def path(self) -> str:
        """Dotted path of the module."""
        return f"rankrefine.report.{self.module}"


CONTENTS = (
    Item("summary.html", "summary", "1 Summary", "main result and facts"),
    Item("scores.html", "pages", "2 Scores", "table"),
    Item("differences.svg", "figures.scores", "2 Scores", "differences to the base"),
    Item("representation.svg", "figures.scores", "2 Scores", "alignment and uniformity"),
    Item("similarity.svg", "figures.lists", "3 Ranking lists", "similarity by rank"),
    Item("target_order.svg", "figures.lists", "3 Ranking lists", "order of the targets"),
    Item("lists.html", "pages", "3 Ranking lists", "examples"),
    Item("drops.svg", "figures.lists", "4 Dropped", "from raw sentence to training list"),
    Item("drops.html", "pages", "4 Dropped", "table"),
    Item("training.svg", "figures.training", "5 Training", "loss and development score"),
    Item("experiments.svg", "figures.training", "5 Training", "experiments"),
    Item("base_training.svg", "figures.training", "5 Training", "base encoder", "base"),
    Item("base_examples.html", "pages", "5 Training", "base encoder: training examples", "examples"),
    Item("base_scores.svg", "figures.examples", "5 Training", "base encoder: scores of the examples", "scorer"),
    Item("timings.svg", "figures.timings", "6 Time and cost", "time and memory"),
    Item("timings.html", "pages", "6 Time and cost", "table"),
    Item("provenance.html", "summary", "7 Provenance", "models, data and parameters"),
)
MODULES = tuple(sorted({item.path for item in CONTENTS}))  # `report.run` imports them by name, unseen by code digests


def items(config: dict[str, Any]) -> tuple[Item, ...]:
    """Return the items that a run with this configuration has."""
    has = {
        "": True,
        "base": config["base"]["objective"] != "none",
        "examples": config["examples"]["recipe"] != "none",
        "scorer": bool(config["examples"]["scorer"]),
    }
    return tuple(item for item in CONTENTS if has[item.needs])
