"""What training reads: lists, teacher embeddings, development data; and the statistics by rank."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

import rankrefine
from rankrefine import io
from rankrefine.encoders.lengths import groups
from rankrefine.errors import UserError
from rankrefine.ranking_lists import similarity_to_seed as similarity
from rankrefine.ranking_lists import teacher_embeddings as embeddings
from rankrefine.ranking_lists.lists import Lists, read
from rankrefine.training import development

LISTS = Lists(["a", "b"], [["One.", "Two.", "Three."], ["Four.", "Five."]])
TEACHER = {"model": "some", "revision": "1"}


def lists_file(folder: Path, **columns: list) -> Path:
    io.write_table(folder / "lists.parquet", pa.table(columns))
    return folder / "lists.parquet"


def test_lists_are_read_in_order(tmp_path: Path):
    found = read(lists_file(tmp_path, seed_id=LISTS.ids, sentences=LISTS.sentences, source=["x", "y"]))
    assert found == LISTS
    assert found.flat == ["One.", "Two.", "Three.", "Four.", "Five."]
    assert found.sizes == [3, 2]


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


def test_embeddings_come_back_list_by_list(tmp_path: Path):
    rows = torch.arange(10.0).reshape(5, 2)
    embeddings.write(tmp_path / "e.safetensors", rows, LISTS, TEACHER)
    found, teacher = embeddings.read(tmp_path / "e.safetensors", LISTS)
    assert [each.tolist() for each in found] == [rows[:3].tolist(), rows[3:].tolist()]
    assert teacher == TEACHER


def test_embeddings_have_the_same_bytes_in_every_process(tmp_path: Path):
    program = (
        "import sys, torch; from pathlib import Path; from rankrefine.ranking_lists.teacher_embeddings import write;"
        "from rankrefine.ranking_lists.lists import Lists;"
        "write(Path(sys.argv[1]), torch.ones(2, 2), Lists(['a'], [['x', 'y']]), {'model': 'm', 'revision': 'r'})"
    )
    files = [tmp_path / f"{i}.safetensors" for i in range(3)]
    environment = os.environ | {"PYTHONPATH": str(Path(rankrefine.__file__).parents[1])}
    for file in files:
        subprocess.run([sys.executable, "-c", program, str(file)], check=True, env=environment)
    assert len({file.read_bytes() for file in files}) == 1


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (Lists(["a"], [["One.", "Two.", "Three."]]), "5 sentences in 2 lists, but the ranking lists have 3 in 1"),
        (Lists(["a", "b"], [["One.", "Two.", "Tree."], ["Four.", "Five."]]), "belongs to ranking lists with other"),
        (Lists(["a", "b"], [["One.", "Two."], ["Three.", "Four.", "Five."]]), "belongs to ranking lists with other"),
    ],
)
def test_embeddings_of_other_lists_are_refused(tmp_path: Path, lists: Lists, message: str):
    embeddings.write(tmp_path / "e.safetensors", torch.zeros(5, 2), LISTS, TEACHER)
    with pytest.raises(UserError, match=message):
        embeddings.read(tmp_path / "e.safetensors", lists)


def test_truncated_embeddings_are_refused(tmp_path: Path):
    file = tmp_path / "e.safetensors"
    embeddings.write(file, torch.zeros(5, 2), LISTS, TEACHER)
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(UserError, match=r"e\.safetensors is corrupt or truncated"):
        embeddings.read(file, LISTS)
    with pytest.raises(UserError, match="There is no file"):
        embeddings.read(tmp_path / "none", LISTS)


def test_similarity_by_rank():
    unit = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1], [0, 1], [0.6, 0.8], [0.8, 0.6], [1, 0]])
    cosines = similarity.to_seed(unit, [4, 3, 1])
    assert np.allclose(cosines[0], [1, 0.8, 0.6, 0])
    assert np.allclose(cosines[1, :3], [1, 0.8, 0.6])
    assert np.isnan(cosines[1, 3])
    assert np.isnan(cosines[2, 1:]).all()
    cosines[1, 1:3] = [0.5, 0.7]
    found = similarity.statistics(cosines)
    assert [rank["lists"] for rank in found["by_rank"]] == [3, 2, 2, 1]
    assert found["by_rank"][1] == {
        "rank": 1, "lists": 2, "mean": 0.65, "q10": 0.53, "q25": 0.575, "q50": 0.65, "q75": 0.725, "q90": 0.77
    }  # fmt: skip
    # ranks 1 and 2: .8 > .6 but .5 < .7; ranks 2 and 3: .6 > 0
    assert found["in_order_by_rank"] == [{"rank": 1, "pairs": 2, "share": 0.5}, {"rank": 2, "pairs": 1, "share": 1.0}]
    assert found["in_order"] == pytest.approx(2 / 3, abs=1e-6)


def test_similarity_of_lists_with_one_rewrite_has_no_order():
    found = similarity.statistics(np.array([[1, 0.5], [1, 0.4]]))
    assert found["in_order"] is None
    assert found["in_order_by_rank"] == []


def development_folder(folder: Path, split: str = "validation", **columns: list) -> Path:
    complete = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "score": [1.0, 2.0]} | columns
    kept = {name: values for name, values in complete.items() if values is not None}
    io.write_table(folder / f"{split}.parquet", pa.table(kept))
    return folder


def test_development_data_are_the_validation_split(tmp_path: Path):
    development_folder(tmp_path, "test", score=[3.0, 4.0])
    assert development.read(development_folder(tmp_path)) == (["a", "b"], ["c", "d"], [1.0, 2.0])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"split": "test"}, r"has no split validation; its splits are: test\."),
        ({"score": None}, r"has no column 'score'; its columns are: sentence1, sentence2\."),
        ({"score": [2.0, 2.0]}, "all 2 scores are equal"),
        ({"sentence2": ["c", None]}, "row 1 is incomplete"),
    ],
)
def test_unusable_development_data_are_refused(tmp_path: Path, changed: dict, message: str):
    with pytest.raises(UserError, match=message):
        development.read(development_folder(tmp_path, **changed))


@pytest.mark.parametrize("cost", [0, 3, 20, 1000])
def test_groups_cost_least(cost: int) -> None:
    """Against every way to cut the sorted lengths."""
    generator = random.Random(cost)
    for _ in range(20):
        lengths = [generator.randint(3, 12) for _ in range(9)]
        found = groups(lengths, cost)
        assert sorted(place for places in found for place in places) == list(range(9))
        sorted_lengths = sorted(lengths)
        every = []
        for cuts in range(2**8):
            ends = [n + 1 for n in range(8) if cuts >> n & 1] + [9]
            starts = zip([0, *ends[:-1]], ends, strict=True)
            every.append(sum((end - start) * sorted_lengths[end - 1] + cost for start, end in starts))
        assert sum(len(places) * max(lengths[p] for p in places) + cost for places in found) == min(every)
    assert groups([4] * 5, 0) == [[0, 1, 2, 3, 4]]


def test_order_kept_is_the_mean_correlation_of_the_rows() -> None:
    from scipy.stats import spearmanr

    falling = -np.abs(np.subtract.outer(np.arange(6), np.arange(6))).astype(float)
    assert development.order_kept(falling) == pytest.approx(1)
    assert development.order_kept(-falling) == pytest.approx(-1)
    cosines = np.random.default_rng(0).random((5, 5))
    rows = []
    for j in range(5):
        others = [place for place in range(5) if place != j]
        rows.append(spearmanr([cosines[j, place] for place in others], [-abs(j - place) for place in others])[0])
    assert development.order_kept(cosines) == pytest.approx(sum(rows) / 5)
    assert development.order_kept(np.eye(2)) == 0
