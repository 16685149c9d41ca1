"""Embed sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rankrefine.encoders.lengths import cut

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

BATCH = 32  # fastest on 2 cores, since `encode` sorts sentences by length: 16 and 128 take 5 % longer


def embed(model: SentenceTransformer, sentences: Sequence[str], max_length: int) -> Tensor:
    """Return normalised embeddings, float32 on the CPU, shape [sentences, dim]; equal sentences are embedded once."""
    row = {sentence: i for i, sentence in enumerate(dict.fromkeys(sentences))}
    embeddings = model.encode(
        list(row),
        batch_size=BATCH,
        normalize_embeddings=True,
        convert_to_tensor=True,
        processing_kwargs=cut(model, max_length),
        show_progress_bar=False,
    )
    return embeddings.float().cpu()[[row[sentence] for sentence in sentences]]
