"""Figures of the report, in the order of Snakemake's own report, which shows them, too. Standard library only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

CAPTIONS = Path(__file__).parent / "captions"  # files, because Snakemake takes no text


@dataclass(frozen=True)
class Item:
    """A figure, drawn by the function `name` of `module`; its caption is `captions/NAME.rst`, plain ASCII text."""

    name: str
    module: str  # below `rankrefine.report.figures`
    category: str  # of Snakemake's menu
    label: str  # within the category, and the title on the page
    needs: str = ""  # what a run must have for this figure, a key of `has` in `items`

    @property
    def file(self) -> str:
        """Name of the file in `results/report`."""
        return f"{self.name}.svg"

    @property
    def path(self) -> str:
        """Dotted path of the module."""
        return f"rankrefine.report.figures.{self.module}"

    @property
    def caption(self) -> Path:
        """File with the caption."""
        return CAPTIONS / f"{self.name}.rst"


CONTENTS = (
    Item("differences", "scores", "1 Scores", "Difference to the base"),
    Item("models", "scores", "1 Scores", "All models beside each other"),
    Item("representation", "scores", "1 Scores", "Alignment and uniformity"),
    Item("similarity", "lists", "2 Ranking lists", "Similarity by rank"),
    Item("target_order", "lists", "2 Ranking lists", "Order of the targets"),
    Item("training", "training", "3 Training", "Development score and loss"),
    Item("experiments", "training", "3 Training", "Experiments"),
    Item("base_training", "training", "3 Training", "Training of the base encoder", "base"),
    Item("base_scores", "examples", "3 Training", "Scores of the training examples of the base encoder", "scorer"),
    Item("drops", "lists", "4 Dropped", "From raw sentence to training list"),
    Item("timings", "timings", "5 Time", "Time by stage"),
)
MODULES = tuple(sorted({item.path for item in CONTENTS}))  # `report.run` imports them by name, unseen by code digests


def items(config: dict[str, Any]) -> tuple[Item, ...]:
    """Return the figures that a run with this configuration has."""
    has = {"": True, "base": config["base"]["objective"] != "none", "scorer": bool(config["examples"]["scorer"])}
    return tuple(item for item in CONTENTS if has[item.needs])
