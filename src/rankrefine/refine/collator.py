"""Ranking lists for the trainer: rows are numbers of lists, the collator makes tensors of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rankrefine.encoders.lengths import PASS_CPU, groups

COLUMN = "list"


class ListCollator:
    """Flattens the lists of a batch, so that all their sentences go through the model in as few passes as pay.

    The trainer's own collator would take a column of lists for one text field.

    Args:
        preprocess: Sentences -> tensors for the student.
        names: Of all lists, for messages.
        sentences: Of all lists.
        teacher: Their embeddings, [sentences, dim] each.
        target: Makes the target [B, K, K] of the teacher's embeddings of B lists.
        base: Embeddings by the base encoder, where the loss has an anchor.
        pass_cost: Of a pass through the model, in tokens; see `length.groups`.
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
        pass_cost: int = PASS_CPU,
    ) -> None:
        self.preprocess, self.names, self.sentences, self.teacher = preprocess, names, sentences, teacher
        self.target, self.base, self.pass_cost = target, base, pass_cost

    def __call__(self, rows: list[dict[str, int]]) -> dict[str, Any]:
        """The student's tensors of the first pass as `pass0_...` and so on, the `label` of `RankingLoss`, the lists'
        names as `list`.
        """
        numbers = [row[COLUMN] for row in rows]
        flat = [sentence for number in numbers for sentence in self.sentences[number]]
        passes = groups(self._lengths(flat), self.pass_cost)
        label = {
            "target": self.target([self.teacher[number] for number in numbers]),
            "order": torch.tensor([place for places in passes for place in places]).argsort(),
        }
        if self.base is not None:
            label["base"] = torch.cat([self.base[number] for number in numbers])
        batch: dict[str, Any] = {"label": label, COLUMN: [self.names[number] for number in numbers]}
        for number, places in enumerate(passes):
            feature = self.preprocess([flat[place] for place in places])
            batch |= {f"pass{number}_{name}": value for name, value in feature.items()}
        return batch

    def _lengths(self, sentences: list[str]) -> list[int]:
        """Tokens of each sentence; equal ones where the model pads nothing."""
        mask = self.preprocess(sentences).get("attention_mask")
        return [1] * len(sentences) if mask is None else mask.sum(-1).tolist()
