"""Development data and held-out lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from rankrefine import io
from rankrefine.encoders.opening import open_encoder
from rankrefine.errors import UserError
from rankrefine.training import development
from rankrefine.training.held_out import held_out


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


def test_the_score_is_that_of_the_librarys_evaluator(tmp_path: Path) -> None:
    from miniature.encoder import build
    from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator

    encoder = open_encoder(build(tmp_path / "encoder"))
    first = ["a boat", "a boat", "the red house near the road", "one cat"]
    second = ["one cat", "the old boat", "a boat", "the man sees a dog and never leaves"]
    scores = [1.0, 3.0, 2.0, 4.0]
    folder = development_folder(tmp_path, sentence1=first, sentence2=second, score=scores)
    library = EmbeddingSimilarityEvaluator(first, second, scores, main_similarity="cosine", write_csv=False)
    found = development.evaluator(folder)(encoder)[development.METRIC]
    assert found == pytest.approx(library(encoder)["spearman_cosine"], abs=1e-6)


def by_position(length: int) -> np.ndarray:
    """Cosines, [length, length], in the order of the positions."""
    return 1 - np.abs(np.subtract.outer(np.arange(length), np.arange(length))) / length


@pytest.mark.parametrize("length", [3, 4, 5, 9, 33])
def test_the_generated_order_scores_1_and_its_reverse_minus_1(length: int) -> None:
    cosines = by_position(length)
    assert development.order_kept(cosines) == pytest.approx(1)
    assert development.order_kept(-cosines) == pytest.approx(-1)
    swapped = cosines.copy()
    swapped[0, 1], swapped[0, 2] = cosines[0, 2], cosines[0, 1]
    assert development.order_kept(-cosines) < development.order_kept(swapped) < development.order_kept(cosines)


def test_order_kept_is_the_mean_correlation_of_the_rows() -> None:
    cosines = np.random.default_rng(0).random((5, 5))
    rows = []
    for j in range(5):
        others = [place for place in range(5) if place != j]
        rows.append(spearmanr([cosines[j, place] for place in others], [-abs(j - place) for place in others])[0])
    assert development.order_kept(cosines) == pytest.approx(sum(rows) / 5)


@pytest.mark.parametrize("length", [3, 4, 9])
def test_equal_cosines_keep_no_order(length: int) -> None:
    """A row of ties is a row without order, and not a row that is left out."""
    assert development.order_kept(np.ones((length, length))) == 0
    assert development.order_kept(np.full((length, length), np.nan)) == 0
    cosines = by_position(length)
    cosines[0] = 0.5
    scored = 2 if length == 3 else length
    assert development.order_kept(cosines) == pytest.approx((scored - 1) / scored)


def test_two_sentences_have_only_one_order() -> None:
    assert development.order_kept(by_position(2)) == 1


class _Encoder:
    """Embeds a number as nine ones from that place on, so that the product of two is 9 minus their distance."""

    def encode(self, sentences: list[str], **_: object) -> np.ndarray:
        return np.stack([np.bincount(np.arange(int(place), int(place) + 9), minlength=20) for place in sentences])


def test_a_list_without_order_does_not_change_the_score_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(development, "cut", lambda model, max_length: {})

    def score(*lists: str) -> float:
        evaluator = development.list_evaluator([list(places) for places in lists], max_length=9)
        return evaluator(_Encoder())[development.METRIC]

    assert score("0123") == pytest.approx(1)
    assert score("012") == pytest.approx(1)
    assert score("021") == pytest.approx(-0.5)  # the first sentence has the wrong order, the last one none
    assert score("0123", "021") == pytest.approx(0.25)
    assert score("0123", "04", "021") == pytest.approx(0.25)
    assert score("0123", "555") == pytest.approx(0.5)


def test_every_tenth_list_with_an_order_is_held_out() -> None:
    assert held_out([3] * 35) == [9, 19, 29]
    assert held_out([2, 3] * 10 + [2]) == [19]
    message = r"every 10th ranking list of 3 or more sentences would be held out, but there are only 9 such lists; set"
    for sizes in ([9] * 9, [2] * 50 + [3] * 9):
        with pytest.raises(UserError, match=message):
            held_out(sizes)
