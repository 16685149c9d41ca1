"""Collator for ranking lists: examples are indices of lists, batches are tensors."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rankrefine.encoders.lengths import PASS_CPU, groups

COLUMN = "list"  # of the examples: the index of a list


class ListCollator:
    """Flatten the lists of a batch and group their sentences by length into few forward passes.

    The trainer's own collator would take a column of lists for one text field.

    Args:
        preprocess: Tokenises sentences for the student.
        names: Name of each list, for error messages.
        sentences: Sentences of each list.
        teacher: Embeddings of each list by the teacher, [sentences, dim].
        target: Computes the targets [B, K, K] from the teacher's embeddings of B lists.
        base: Embeddings of each list by the base encoder, if the loss has an anchor.
        pass_cost: Fixed cost of a forward pass in tokens, see `lengths.groups`.
    """

    valid_label_columns: tuple[str, ...] = ()  # the trainer passes it to its batch sampler

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

    def __call__(self, examples: list[dict[str, int]]) -> dict[str, Any]:
        """Return the tensors of the passes (`pass0_...`), the `label` of `RankingLoss`, and the names of `lists`."""
        indices = [example[COLUMN] for example in examples]
        flat = [sentence for index in indices for sentence in self.sentences[index]]
        passes = groups(self._lengths(flat), self.pass_cost)
        label = {
            "target": self.target([self.teacher[index] for index in indices]),
            "order": torch.tensor([place for places in passes for place in places]).argsort(),
        }
        if self.base is not None:
            label["base"] = torch.cat([self.base[index] for index in indices])
        batch: dict[str, Any] = {"label": label, "lists": [self.names[index] for index in indices]}
        for number, places in enumerate(passes):
            features = self.preprocess([flat[place] for place in places])
            batch |= {f"pass{number}_{name}": value for name, value in features.items()}
        return batch

    def _lengths(self, sentences: list[str]) -> list[int]:
        """Number of tokens of each sentence; 1 if the model does not pad."""
        mask = self.preprocess(sentences).get("attention_mask")
        return [1] * len(sentences) if mask is None else mask.sum(-1).tolist()
