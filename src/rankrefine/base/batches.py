"""Batches of the base encoder's training: anchors, and candidates that each of them is compared with."""

from collections.abc import Callable
from typing import Any

import torch

from rankrefine.base.guide import Guide


class Collator:
    """Tokenise the anchors of a batch, and its candidates: all positives, then the negatives of rows that have one.

    The library's own collator would need a negative in every row.

    Args:
        preprocess: Tokenises sentences for the encoder in training.
        guide: Cosines by frozen encoders, if the objective compares with them.
    """

    valid_label_columns: tuple[str, ...] = ()  # the trainer passes it to its batch sampler

    def __init__(self, preprocess: Callable[[list[str]], dict[str, Any]], guide: Guide | None = None) -> None:
        self.preprocess, self.guide = preprocess, guide

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the tensors of both passes (`anchor_...`, `candidate_...`) and the `label`.

        The label has `score` [N] if the rows have one, and with a guide `guide` [N, candidates].
        """
        anchors, positives = ([row[name] for row in rows] for name in ("anchor", "positive"))
        candidates = positives + [row["negative"] for row in rows if row.get("negative")]
        batch: dict[str, Any] = {}
        for name, sentences in (("anchor", anchors), ("candidate", candidates)):
            batch |= {f"{name}_{key}": value for key, value in self.preprocess(sentences).items()}
        label = {}
        if "score" in rows[0]:
            label["score"] = torch.tensor([row["score"] for row in rows])
        if self.guide is not None:
            label["guide"] = self.guide.cosines(anchors, candidates)
        return batch | {"label": label}
