"""Ranking lists in memory, as read from lists.parquet."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from rankrefine import io
from rankrefine.errors import UserError


@dataclass(frozen=True)
class Lists:
    """Ranking lists, which may differ in length."""

    ids: list[str]  # of the seed sentences
    sentences: list[list[str]]  # of each list: the seed sentence, then the rewrites by decreasing generated similarity

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
        """SHA-256 of all sentences in order and of the lists' lengths; identifies the lists of teacher embeddings."""
        return hashlib.sha256(json.dumps(self.sentences).encode()).hexdigest()


def read(path: Path) -> Lists:
    """Read the `lists.parquet` of `consolidate`.

    Raises:
        UserError: the file is missing or damaged, lacks a column, has no lists, or one with fewer than two sentences.
    """
    table = io.read_table(path)
    if missing := [name for name in ("seed_id", "sentences") if name not in table.column_names]:
        raise UserError(f"{path} has no column '{missing[0]}'; its columns are: {', '.join(table.column_names)}.")
    lists = Lists(table["seed_id"].to_pylist(), table["sentences"].to_pylist())
    if not lists.ids:
        raise UserError(f"{path} has no ranking lists; see the drop counts of consolidate and raise seeds.count.")
    for name, size in zip(lists.ids, lists.sizes, strict=True):
        if size < 2:
            raise UserError(f"{path}: list {name} has {size} sentence(s); a ranking needs at least 2.")
    return lists
