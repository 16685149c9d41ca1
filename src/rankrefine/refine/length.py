"""Sentences are cut in training, for student and teacher, without touching the limit that a model is saved with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def cut(model: SentenceTransformer, max_length: int) -> dict[str, Any]:
    """`processing_kwargs` for the model's `preprocess` and `encode`: at most `max_length` tokens."""
    return {"text": {"max_length": min(max_length, model.max_seq_length or max_length)}}
