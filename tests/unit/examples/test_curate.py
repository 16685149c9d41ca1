"""Examples that are chosen by the cosines of a scorer."""

from __future__ import annotations

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
from rankrefine.examples.run import SCHEMA

OPEN = {"min_positive": -1, "max_negative": 1, "min_margin": 0, "swap": True}
ROW = {"anchor": "a", "positive": "p", "negative": "n", "source": "s"}


def run(folder: Path, ratings: list[tuple[float, float | None]], **section: Any) -> tuple[list[dict], dict]:
    """Curate an example for each rating; return the rows and the record."""
    rows = [
        ROW | {"seed_id": str(number), "negative": None if b is None else "n"} for number, (_, b) in enumerate(ratings)
    ]
    io.write_table(folder / "examples.parquet", pa.Table.from_pylist(rows, SCHEMA))
    columns = {role: [rating[place] for rating in ratings] for place, role in enumerate(("positive", "negative"))}
    io.write_table(folder / "ratings.parquet", pa.table(columns, schema=table.SCHEMA))
    section = {"recipe": "syncse_partial", "scorer": "x", **OPEN, **section}
    given = for_rule(config.complete({"examples": section, "base": {"objective": "contrastive"}}), "curate")
    inputs, outputs = ("examples.parquet", "ratings.parquet"), ("curated.parquet", "curated.json")
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
