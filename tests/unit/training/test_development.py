"""Development data and held-out lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.training import development


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
        ({"split": "test"}, r"refine.development: .* has no split 'validation'; available splits: test\."),
        ({"score": None}, r"has no column 'score'; available columns: sentence1, sentence2\."),
        ({"score": [2.0, 2.0]}, "all 2 scores are 2; rank"),
        ({"sentence2": ["c", None]}, "row 2: column sentence2 is empty"),
    ],
)
def test_unusable_development_data_are_refused(tmp_path: Path, changed: dict, message: str):
    with pytest.raises(UserError, match=message):
        development.read(development_folder(tmp_path, **changed))


def test_order_kept_is_the_mean_correlation_of_the_rows() -> None:
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
