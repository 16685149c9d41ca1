"""Cosines by frozen encoders, the guide of an objective, which embed all sentences once, before the training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rankrefine import io
from rankrefine.encoders.counting import counting
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import open_encoder
from rankrefine.errors import UserError

CHUNK = 65_536  # sentences that are embedded at a time, which bounds the memory


@dataclass(frozen=True)
class Guide:
    """Frozen encoders with weights that sum to 1. Only cosines are used, so encoders of any width fit."""

    row: dict[str, int]  # of each sentence
    embeddings: list[np.ndarray]  # of each encoder, normalised, [sentences, dim]; they stay on disk
    weights: list[float]

    def cosines(self, anchors: Sequence[str], candidates: Sequence[str]) -> Tensor:
        """Return the weighted mean of the cosines, [anchors, candidates]."""
        left, right = ([self.row[sentence] for sentence in sentences] for sentences in (anchors, candidates))
        total = torch.zeros(len(left), len(right))
        for rows, weight in zip(self.embeddings, self.weights, strict=True):
            one, other = (torch.from_numpy(np.array(rows[places])) for places in (left, right))
            total += weight * one @ other.T
        return total


def load(
    encoders: Sequence[tuple[Path, float]],
    columns: dict[str, list[Any]],
    section: dict[str, Any],
    threads: int | None,
    folder: Path,
) -> Guide:
    """Embed all sentences with each encoder; an interrupted training finds the embeddings in its work folder.

    Args:
        encoders: Folder and weight of each encoder.
        columns: Training data; columns that are not text are left out.
        section: Config section base.
        threads: CPU threads (default: all).
        folder: Work folder of the training.

    Raises:
        UserError: an encoder cannot be opened, or gives embeddings that are not finite.
    """
    texts = (text for column in columns.values() for text in column if isinstance(text, str))
    row = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    files = [folder / f"guide-{number}.npy" for number in range(len(encoders))]
    for (path, _), file in zip(encoders, files, strict=True):
        if not file.exists():
            _embed(path, list(row), section, threads, file)
    return Guide(row, [np.load(file, mmap_mode="r") for file in files], [weight for _, weight in encoders])


def _embed(path: Path, sentences: list[str], section: dict[str, Any], threads: int | None, file: Path) -> None:
    """Write the normalised embeddings of an encoder, [sentences, dim] float32."""
    encoder, rows = open_encoder(path, section["guide_pooling"], threads=threads), None
    with counting(encoder, f"guide {path.name}", len(sentences)), io.atomic(file) as temporary:
        for start in range(0, len(sentences), CHUNK):
            chunk = embed(encoder, sentences[start : start + CHUNK], section["max_length"]).numpy()
            if not np.isfinite(chunk).all():
                raise UserError(f"The guide {path} gives embeddings that are not finite; choose another base.guide.")
            if rows is None:
                shape = (len(sentences), chunk.shape[1])
                rows = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
            rows[start : start + CHUNK] = chunk
        rows.flush()
