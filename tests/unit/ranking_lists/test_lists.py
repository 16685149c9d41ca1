"""Ranking lists as read from lists.parquet."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.ranking_lists.lists import Lists, read

LISTS = Lists(["a", "b"], [["One.", "Two.", "Three."], ["Four.", "Five."]])


def lists_file(folder: Path, **columns: list) -> Path:
    io.write_table(folder / "lists.parquet", pa.table(columns))
    return folder / "lists.parquet"


def test_lists_are_read_in_order(tmp_path: Path):
    result = read(lists_file(tmp_path, seed_id=LISTS.ids, sentences=LISTS.sentences, source=["x", "y"]))
    assert result == LISTS
    assert result.flat == ["One.", "Two.", "Three.", "Four.", "Five."]
    assert result.sizes == [3, 2]


def test_the_digest_knows_where_lists_end():
    moved = Lists(LISTS.ids, [["One.", "Two."], ["Three.", "Four.", "Five."]])
    assert moved.flat == LISTS.flat
    assert moved.digest != LISTS.digest


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"seed_id": ["a"], "text": ["x"]}, r"has no column 'sentences'; its columns are: seed_id, text"),
        ({"seed_id": pa.array([], pa.string()), "sentences": pa.array([], pa.list_(pa.string()))}, "no ranking lists"),
        ({"seed_id": ["a", "b"], "sentences": [["x", "y"], ["z"]]}, "list b has 1 sentence"),
    ],
)
def test_unusable_lists_are_refused(tmp_path: Path, columns: dict, message: str):
    with pytest.raises(UserError, match=message):
        read(lists_file(tmp_path, **columns))
