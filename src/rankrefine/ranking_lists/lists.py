"""Ranking lists as training reads them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from rankrefine import io
from rankrefine.errors import UserError


@dataclass(frozen=True)
class Lists:
    """Ranking lists; they may differ in length.

    Attributes:
        ids: the seed's id of each list.
        sentences: the sentences of each list, seed first, then falling in generated similarity.
    """

    ids: list[str]
    sentences: list[list[str]]

    @property
    def sizes(self) -> list[int]:
        """Number of sentences of each list."""
        return [len(sentences) for sentences in self.sentences]

    @property
    def flat(self) -> list[str]:
        """All sentences, list after list."""
        return [sentence for sentences in self.sentences for sentence in sentences]

    @property
    def digest(self) -> str:
        """SHA-256 of all sentences in their order: what teacher embeddings belong to."""
        return hashlib.sha256(json.dumps(self.sentences).encode()).hexdigest()


def read(path: Path) -> Lists:
    """Read `lists.parquet` as `consolidate` writes it.

    Raises:
        UserError: no such file, damaged, a column is missing, no lists, or a list without anything to rank.
    """
    table = io.read_table(path)
    if missing := [name for name in ("seed_id", "sentences") if name not in table.column_names]:
        raise UserError(f"{path} has no column '{missing[0]}'; there are: {', '.join(table.column_names)}.")
    lists = Lists(table["seed_id"].to_pylist(), table["sentences"].to_pylist())
    if not lists.ids:
        raise UserError(
            f"{path} holds no ranking lists; look at the drop counts of consolidate and raise seeds.count."
        )
    for name, size in zip(lists.ids, lists.sizes, strict=True):
        if size < 2:
            raise UserError(f"{path}: list {name} has {size} sentence(s), but a ranking needs at least 2.")
    return lists
