"""Examples that are chosen by the cosines of a scorer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rankrefine import io
from rankrefine.config import load as config
from rankrefine.config.views import for_rule
from rankrefine.errors import UserError
from rankrefine.examples import curate, rate
from rankrefine.examples import ratings as table
from rankrefine.examples.partners import partners
from rankrefine.examples.run import SCHEMA
from rankrefine.text.normal_form import text_hash

OPEN = {"min_positive": -1, "max_negative": 1, "min_margin": 0, "swap": True}
ROW = {"anchor": "a", "positive": "p", "negative": "n", "source": "s"}


def run(
    folder: Path, ratings: list[tuple[float, float | None]], anchors: Sequence[str] = (), seed: int = 1, **section: Any
) -> tuple[list[dict], dict]:
    """Curate an example for each rating, perhaps with an anchor of its own; return the rows and the record."""
    rows = [
        ROW | {"seed_id": str(number), "negative": None if b is None else "n"} for number, (_, b) in enumerate(ratings)
    ]
    rows = [row | {"anchor": anchor} for row, anchor in zip(rows, anchors or ["a"] * len(rows), strict=True)]
    io.write_table(folder / "examples.parquet", pa.Table.from_pylist(rows, SCHEMA))
    columns = {role: [rating[place] for rating in ratings] for place, role in enumerate(("positive", "negative"))}
    io.write_table(folder / "ratings.parquet", pa.table(columns, schema=table.SCHEMA))
    section = {"recipe": "syncse_partial", "scorer": "x", **OPEN, **section}
    given = config.complete({"seed": seed, "examples": section, "base": {"objective": "soft_contrastive"}})
    given = for_rule(given, "curate")
    made = {"model": "m", "revision": "1", "prompt": "p", "prompt_sha256": "0", "prompt_text": "t", "sampling": "{}"}
    counts = {"read": len(rows) + 1, "kept": len(rows), "dropped": {"positive: empty": 1}, "made_by": [made]}
    io.write_json(folder / "examples.json", counts | {"seeds": {"sources": [], "decontaminate": []}})
    io.write_json(folder / "ratings.json", {"scorer": {"model": "hub:org/scorer@v1", "revision": "r7"}})
    inputs = ("examples.parquet", "ratings.parquet", "examples.json", "ratings.json")
    outputs = ("curated.parquet", "curated.json", "README.md")
    curate.run(given, *(folder / name for name in (*inputs, *outputs)))
    return io.read_table(folder / outputs[0], curate.SCHEMA).to_pylist(), io.read_json(folder / outputs[1])


def test_roles_change_where_the_negative_is_nearer(tmp_path: Path) -> None:
    rows, record = run(tmp_path, [(0.75, 0.5), (0.25, 0.75)])
    found = [(row["positive"], row["negative"], row["score"], row["score_negative"]) for row in rows]
    assert found == [("p", "n", 0.75, 0.5), ("n", "p", 0.75, 0.25)]
    assert record["swapped"] == 1 and record["kept"] == 2


def test_without_swapping_a_nearer_negative_is_dropped(tmp_path: Path) -> None:
    rows, record = run(tmp_path, [(0.75, 0.5), (0.25, 0.75)], swap=False)
    assert len(rows) == 1 and record["dropped"] == {"positive and negative: within min_margin": 1}


@pytest.mark.parametrize(
    ("rating", "threshold", "reason"),
    [
        ((0.5, 0.0), {"min_positive": 0.625}, "positive: below min_positive"),
        ((0.5, None), {"min_positive": 0.625}, "positive: below min_positive"),
        ((1.0, 0.75), {"max_negative": 0.5}, "negative: above max_negative"),
        ((0.75, 0.5), {"min_margin": 0.5}, "positive and negative: within min_margin"),
    ],
)
def test_a_threshold_drops_what_misses_it_and_keeps_what_meets_it(
    tmp_path: Path, rating: tuple, threshold: dict[str, float], reason: str
) -> None:
    rows, record = run(tmp_path, [rating, (1.0, -1.0)], **threshold)
    assert len(rows) == 1 and record["dropped"] == {reason: 1}
    ((key, value),) = threshold.items()
    other = {"min_positive": (value, -1.0), "max_negative": (1.0, value), "min_margin": (0.5, 0.5 - value)}[key]
    assert len(run(tmp_path, [other], **threshold)[0]) == 1


def test_examples_without_negatives_are_rated_by_their_positive(tmp_path: Path) -> None:
    rows, _ = run(tmp_path, [(0.75, None)], min_margin=1)
    assert (rows[0]["score"], rows[0]["negative"]) == (0.75, None)


def test_scores_are_from_0_to_1(tmp_path: Path) -> None:
    rows, _ = run(tmp_path, [(-0.5, None), (1.0000001, None)])
    assert [row["score"] for row in rows] == [0, 1]


def test_repair_keeps_what_misses_a_threshold_without_its_text(tmp_path: Path) -> None:
    ratings = [(0.25, 0.5), (0.75, 0.9), (0.25, 0.9), (0.75, 0.5), (0.25, None)]
    rows, record = run(tmp_path, ratings, min_positive=0.5, max_negative=0.8, swap=False, repair=True)
    found = [(row["positive"], row["negative"], row["score"], row["kind"]) for row in rows]
    assert found == [
        ("a", "n", 1, "repaired"),
        ("p", None, 0.75, "repaired"),
        ("a", None, 1, "repaired"),
        ("p", "n", 0.75, "rated"),
    ]
    assert [row["score_negative"] for row in rows] == [0.5, None, None, 0.5]
    assert (record["repaired"], record["kept"]) == (3, 4)
    assert record["dropped"] == {"duplicate": 1}  # the last one equals the third


def test_repair_comes_after_a_change_of_roles_and_leaves_the_margin(tmp_path: Path) -> None:
    rows, record = run(tmp_path, [(0.25, 0.75), (0.5, 0.45)], min_positive=0.5, min_margin=0.1, repair=True)
    assert [(row["positive"], row["negative"], row["kind"]) for row in rows] == [("n", "p", "rated")]
    assert record["dropped"] == {"positive and negative: within min_margin": 1}


def test_smoothing_draws_scores_towards_the_middle(tmp_path: Path) -> None:
    rows, _ = run(tmp_path, [(1, None), (-0.5, None), (0.5, None)], smoothing=0.2)
    assert [row["score"] for row in rows] == pytest.approx([0.9, 0.1, 0.5])


def test_random_pairs_are_other_anchors_with_score_0(tmp_path: Path) -> None:
    anchors = ["a boat", "A boat!", "a ship", "a ship", "a car", "a bus"]
    rows, record = run(tmp_path, [(0.75, 0.5)] * 6, anchors, random_pairs=2, smoothing=0.2)
    added = rows[6:]
    assert record["random_pairs"] == len(added) == 2 * 5 and record["kept"] == 6  # of each text once
    assert {row["anchor"] for row in added} == {row["positive"] for row in added} | {*anchors} == {*anchors}
    for row in added:
        assert row["anchor"].lower().strip("!") != row["positive"].lower().strip("!")
        assert (row["score"], row["negative"], row["source"], row["kind"]) == (0, None, "s", "random")
    assert len({(row["anchor"], row["positive"]) for row in added}) == len(added)
    assert [row["kind"] for row in rows[:6]] == ["rated"] * 6


def test_random_pairs_depend_on_seed_and_text_alone() -> None:
    pool = sorted((f"sentence {n}" for n in range(2000)), key=lambda text: text_hash(text, 1))
    texts = pool[:200]  # as the command `seeds` selects them
    drawn = partners(texts, 2, 1)
    assert partners(texts[::-1] + texts[:9], 2, 1) == drawn
    assert sum(partners(texts, 2, 2)[text] != drawn[text] for text in texts) > 150
    more = partners([*texts, *(f"another {n}" for n in range(10))], 2, 1)
    assert sum(more[text] != drawn[text] for text in texts) < 60  # of 400 draws, a twentieth is taken over
    assert max(Counter(other for others in drawn.values() for other in others).values()) < 20
    assert partners(["one"], 2, 1) == {"one": []} and partners(["one", "two"], 5, 1)["one"] == ["two"]


def test_nothing_left_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No training example is left \(0 of 1 kept; .*loosen the thresholds"):
        run(tmp_path, [(0.5, 0.25)], min_positive=0.75)


def test_ratings_are_the_cosines_of_the_scorer(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    import numpy as np
    from miniature.encoder import build

    from rankrefine.assets.manifest import write_manifest
    from rankrefine.encoders.embed import embed
    from rankrefine.encoders.opening import open_encoder

    build(tmp_path / "encoder")
    write_manifest(tmp_path / "encoder.json", source="x", kind="model", path=tmp_path / "encoder")
    texts = {"anchor": ["a boat", "a ship"], "positive": ["the boat", "one ship"], "negative": ["no boat", None]}
    table = pa.Table.from_pylist(
        [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)], SCHEMA
    )
    io.write_table(tmp_path / "examples.parquet", table)
    section = {"recipe": "syncse_partial", "scorer": "x", "scorer_pooling": "mean"}
    given = for_rule(config.complete({"examples": section, "base": {"objective": "contrastive"}}), "rate")
    outputs = (tmp_path / "ratings.parquet", tmp_path / "ratings.json")
    rate.run(given, tmp_path / "examples.parquet", tmp_path / "encoder.json", None, *outputs)
    found = io.read_table(outputs[0], rate.SCHEMA).to_pydict()
    model = open_encoder(tmp_path / "encoder", "mean")
    anchors, positives = (embed(model, texts[role], 128).numpy() for role in ("anchor", "positive"))
    assert found["positive"] == pytest.approx((anchors * positives).sum(1).tolist(), abs=1e-6)
    assert found["negative"][1] is None
    assert found["negative"][0] == pytest.approx(
        float(anchors[0] @ embed(model, ["no boat"], 128)[0].numpy()), abs=1e-6
    )
    assert np.all(np.abs(found["positive"]) <= 1 + 1e-6)
