"""Ranking lists for the trainer: rows are numbers of lists, the collator makes tensors of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rankrefine.refine.length import cut

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

COLUMN = "list"


class ListCollator:
    """Flattens the lists of a batch into one feature, so that all their sentences go through the model together.

    The trainer's own collator would take a column of lists for one text field.

    Args:
        preprocess: Sentences -> tensors for the student.
        names: Of all lists, for messages.
        sentences: Of all lists.
        teacher: Their embeddings, [sentences, dim] each.
        target: Makes the target [B, K, K] of the teacher's embeddings of B lists.
        base: Embeddings by the base encoder, where the loss has an anchor.
    """

    valid_label_columns: tuple[str, ...] = ()  # the trainer hands it to its batch sampler

    def __init__(
        self,
        preprocess: Callable[[list[str]], dict[str, Any]],
        names: list[str],
        sentences: list[list[str]],
        teacher: list[Tensor],
        target: Callable[[list[Tensor]], Tensor],
        base: list[Tensor] | None = None,
    ) -> None:
        self.preprocess, self.names, self.sentences, self.teacher = preprocess, names, sentences, teacher
        self.target, self.base = target, base

    def __call__(self, rows: list[dict[str, int]]) -> dict[str, Any]:
        """The student's tensors as `sentences_...`, the `label` of `RankingLoss`, the lists' names as `list`."""
        numbers = [row[COLUMN] for row in rows]
        feature = self.preprocess([sentence for number in numbers for sentence in self.sentences[number]])
        label = {"target": self.target([self.teacher[number] for number in numbers])}
        if self.base is not None:
            label["base"] = torch.cat([self.base[number] for number in numbers])
        return {f"sentences_{name}": value for name, value in feature.items()} | {
            "label": label,
            COLUMN: [self.names[number] for number in numbers],
        }


def preprocessor(model: SentenceTransformer, max_length: int) -> Callable[[list[str]], dict[str, Any]]:
    """The model's own preprocessing with sentences cut to `max_length` tokens; the model itself keeps its limit.

    Where `encode` puts a default prompt before each text, so does this.
    """
    limit = cut(model, max_length)
    prompt = model.prompts.get(model.default_prompt_name) if model.default_prompt_name else None
    return lambda sentences: model.preprocess(sentences, prompt=prompt, processing_kwargs=limit)
