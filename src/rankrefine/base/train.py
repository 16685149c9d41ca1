"""Train the base encoder by an objective.

Import this module only after `rankrefine.encoders.opening.go_offline`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datasets import Dataset
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from rankrefine.base.batches import Collator
from rankrefine.base.guide import Guide
from rankrefine.base.masked_lm import MaskedLM
from rankrefine.base.objectives import OBJECTIVES
from rankrefine.encoders.lengths import preprocessor
from rankrefine.training import trainer
from rankrefine.training.hyperparameters import Hyperparameters


class ObjectiveLoss(nn.Module):
    """Loss of the encoder on batches of `Collator`.

    Args:
        model: The encoder in training.
        settings: Config section base.
        masked_lm: Masked-LM term, which `mlm` weights.
    """

    def __init__(
        self, model: SentenceTransformer, settings: dict[str, Any], masked_lm: MaskedLM | None = None
    ) -> None:
        super().__init__()
        self.model, self.settings, self.masked_lm = model, settings, masked_lm
        self.objective = OBJECTIVES[settings["objective"]].loss

    def forward(self, features: Iterable[dict[str, Tensor]], label: dict[str, Tensor]) -> Tensor:
        """Compute the loss of a batch: the features of the anchors, and those of the candidates."""
        features = list(features)
        embeddings = [self.model(sentences)["sentence_embedding"] for sentences in features]
        loss = self.objective(embeddings, label, self.settings)
        return loss if self.masked_lm is None else loss + self.settings["mlm"] * self.masked_lm(features)


def has_dropout(model: SentenceTransformer) -> bool:
    """Return True if two passes of one sentence differ in training, by a module or in the attention."""
    settings = [module.config for module in model.modules() if hasattr(module, "config")]
    rates = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    return any(rates) or any(getattr(each, "attention_dropout", None) for each in settings)


def train(
    model: SentenceTransformer,
    start: Path,
    columns: dict[str, list[Any]],
    guide: Guide | None,
    evaluator: Any,
    config: dict[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """Train an encoder on the columns from `examples.read`.

    `start` is the folder that the encoder was opened from; `folder` and the result are those of `trainer.train`.
    """
    section = config["base"]
    masked_lm = MaskedLM(model, start, section["bf16"]) if section["mlm"] else None
    hyperparameters = Hyperparameters.of(section, config["seed"])
    return trainer.train(
        model,
        Dataset.from_dict(columns),
        ObjectiveLoss(model, section, masked_lm),
        evaluator,
        hyperparameters,
        folder,
        Collator(preprocessor(model, hyperparameters.max_length), guide),
        "base",
    )
