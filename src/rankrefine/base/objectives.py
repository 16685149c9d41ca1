"""Training objectives of the base encoder; docs/method.md has their formulas and sources.

An objective is a function of the embeddings of a batch (anchors [N, D], candidates [N + M, D]: the N positives, then
the M hard negatives of those rows that have one), of the batch's label (see `batches.Collator`) and of the config
section `base`. It returns a scalar.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import Tensor

Loss = Callable[[list[Tensor], dict[str, Tensor], dict[str, Any]], Tensor]


@dataclass(frozen=True)
class Objective:
    """An objective and the columns of its data: `text` for single sentences, else at least `anchor` and `positive`."""

    loss: Loss
    required: tuple[str, ...] = ("anchor", "positive")
    optional: tuple[str, ...] = ()


def contrastive(embeddings: list[Tensor], label: dict[str, Tensor], settings: dict[str, Any]) -> Tensor:
    """InfoNCE over all candidates of the batch; the library's."""
    library = MultipleNegativesRankingLoss(None, scale=1 / settings["tau"])  # it gets embeddings and needs no model
    return library.compute_loss_from_embeddings(embeddings, None)


TEXT, NEGATIVE = ("text",), ("negative",)

OBJECTIVES = {
    "simcse_unsup": Objective(contrastive, TEXT),
    "contrastive": Objective(contrastive, optional=NEGATIVE),
}
