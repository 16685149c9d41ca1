"""The transfer tasks against loops over folds, one logistic regression at a time, on small synthetic embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold

from rankrefine.errors import UserError
from rankrefine.evaluate.tasks import transfer as stage

WHOLE = ["MR", "CR", "SUBJ", "MPQA"]


def _data(n: int = 200, dim: int = 8, classes: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings off the origin, whose classes a linear rule separates with some noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dim)) + 2
    weights = np.random.default_rng(99).normal(size=(dim, classes))  # the same in all splits
    return x, np.argmax((x - 2) @ weights + rng.normal(size=(n, classes)), axis=1)


def _split(task: str, sizes: dict[str, int], classes: int = 2) -> tuple[dict, dict]:
    data = {split: _data(n, classes=classes, seed=seed) for seed, (split, n) in enumerate(sizes.items())}
    return {split: [x] for split, (x, _) in data.items()}, {split: y for split, (_, y) in data.items()}


def _fit(x: np.ndarray, y: np.ndarray, c: float) -> LogisticRegression:
    """To the optimum, with another solver and without centring."""
    return LogisticRegression(C=c, solver="newton-cg", tol=1e-8, max_iter=1000).fit(x, y)


def _best(x: np.ndarray, y: np.ndarray, folds: int, seed: int, grid: tuple[float, ...]) -> LogisticRegression:
    """The C with the best mean accuracy over the folds, fitted to everything."""
    parts = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, y))
    accuracy = [np.mean([_fit(x[fit], y[fit], c).score(x[out], y[out]) for fit, out in parts]) for c in grid]
    return _fit(x, y, grid[int(np.argmax(accuracy))])


@pytest.fixture
def wide_grid(monkeypatch: pytest.MonkeyPatch) -> tuple[float, ...]:
    """Values of C that lead to different answers, so that the choice shows."""
    grid = (1e-4, 1e-2, 1.0)
    for task, procedure in stage.TRANSFER.items():
        changed = stage.Procedure(procedure.protocol, procedure.splits, procedure.texts, grid)
        monkeypatch.setitem(stage.TRANSFER, task, changed)
    return grid


@pytest.fixture
def few_fits(monkeypatch: pytest.MonkeyPatch, wide_grid: tuple[float, ...]) -> None:
    """Folds for tests that do not count them."""
    monkeypatch.setattr(stage, "FOLDS", 4)
    monkeypatch.setattr(stage, "INNER_FOLDS", 2)


def test_the_seven_tasks() -> None:
    assert set(stage.TRANSFER) == {*WHOLE, "SST2", "TREC", "MRPC"}
    procedures = stage.TRANSFER.items()
    assert {task for task, procedure in procedures if procedure.protocol == "whole"} == set(WHOLE)
    assert all((procedure.protocol == "whole") == (procedure.splits == ()) for _, procedure in procedures)
    assert [task for task, procedure in procedures if "validation" in procedure.splits] == ["SST2"]


def test_whole_sets_are_nested_cross_validation(wide_grid: tuple[float, ...]) -> None:
    x, y = _data(120)
    expected = np.empty(120)
    for fit, out in StratifiedKFold(10, shuffle=True, random_state=4).split(x, y):
        expected[out] = _best(x[fit], y[fit], 5, 4, wide_grid).predict(x[out])
    (accuracy,) = stage.transfer("MR", {"test": [x]}, {"test": y}, random_seed=4)
    np.testing.assert_array_equal(accuracy.scores, 100 * (expected == y))
    assert accuracy.value == np.mean(accuracy.scores)
    assert 60 < accuracy.value < 95


@pytest.mark.parametrize("classes", [2, 6])
def test_training_splits_are_cross_validated(wide_grid: tuple[float, ...], classes: int) -> None:
    x, y = _split("TREC", {"train": 240, "test": 100}, classes)
    expected = _best(x["train"][0], y["train"], 10, 1, wide_grid).predict(x["test"][0])
    (accuracy,) = stage.transfer("TREC", x, y, random_seed=1)
    np.testing.assert_array_equal(accuracy.scores, 100 * (expected == y["test"]))


def test_the_validation_split_chooses_and_is_not_trained_on(wide_grid: tuple[float, ...]) -> None:
    chosen = set()
    for trial in range(6):
        (x, y), (validation, labels), (test, gold) = (_data(n, seed=3 * trial + n) for n in (40, 90, 100))
        labels = labels if trial % 2 else 1 - labels  # a split of false labels prefers the worst fit
        fitted = [_fit(x, y, c) for c in wide_grid]
        best = int(np.argmax([model.score(validation, labels) for model in fitted]))
        parts = {"train": [x], "validation": [validation], "test": [test]}
        (accuracy,) = stage.transfer("SST2", parts, {"train": y, "validation": labels, "test": gold}, random_seed=0)
        np.testing.assert_array_equal(accuracy.scores, 100 * (fitted[best].predict(test) == gold))
        chosen.add(best)
    assert len(chosen) > 1


def test_paraphrases_are_classified_by_difference_and_product(wide_grid: tuple[float, ...]) -> None:
    x, y = {}, {}
    for seed, (split, n) in enumerate({"train": 200, "test": 90}.items()):
        rng = np.random.default_rng(seed)
        u, y[split] = rng.normal(size=(n, 5)), rng.integers(2, size=n)
        x[split] = [u, np.where(y[split][:, None], u + 0.7 * rng.normal(size=u.shape), rng.normal(size=u.shape))]
    features = {split: np.hstack([abs(u - v), u * v]) for split, (u, v) in x.items()}
    predicted = _best(features["train"], y["train"], 10, 0, wide_grid).predict(features["test"])
    accuracy, f1 = stage.transfer("MRPC", x, y, random_seed=0)
    np.testing.assert_array_equal(accuracy.scores, 100 * (predicted == y["test"]))
    assert (f1.name, f1.scores) == ("f1", None)
    assert f1.value == pytest.approx(100 * f1_score(y["test"], predicted))
    assert stage.transfer("MRPC", {split: pair[::-1] for split, pair in x.items()}, y, random_seed=0)[1] == f1


@pytest.mark.usefixtures("few_fits")
def test_joined_splits_are_one_set_in_alphabetical_order() -> None:
    x, y = _split("CR", {"train": 70, "test": 50})
    joined = stage.transfer("CR", x, y, random_seed=3)[0]
    whole = {"all": np.concatenate([y["test"], y["train"]])}
    alone = stage.transfer("CR", {"all": [np.concatenate([x["test"][0], x["train"][0]])]}, whole, random_seed=3)[0]
    np.testing.assert_array_equal(joined.scores, alone.scores)


@pytest.mark.usefixtures("few_fits")
def test_seeds_and_other_encoders() -> None:
    x, y = _data(60)
    other = _data(60, seed=1)[0]

    def scores(rows: np.ndarray, random_seed: int) -> list[float]:
        return stage.transfer("SUBJ", {"test": [rows]}, {"test": y}, random_seed)[0].scores.tolist()

    first = scores(x, 5), scores(other, 5)
    np.random.seed(0)
    assert (scores(other, 5), scores(x, 5)) == first[::-1]
    assert any(scores(x, seed) != first[0] for seed in range(6, 8))


@pytest.mark.usefixtures("few_fits")
def test_names_of_classes_do_not_matter() -> None:
    x, y = _split("TREC", {"train": 120, "test": 60}, classes=3)
    named = {split: np.array(["ABBR", "DESC", "NUM"], dtype=object)[values].tolist() for split, values in y.items()}
    numbered, texts = (stage.transfer("TREC", x, labels, random_seed=0)[0] for labels in (y, named))
    np.testing.assert_array_equal(numbered.scores, texts.scores)


@pytest.mark.usefixtures("few_fits")
def test_labels_without_meaning_are_guessed_by_chance() -> None:
    x, y = _data(1000, dim=20)
    y = np.random.default_rng(1).permutation(np.arange(1000) % 2)
    assert (
        44 < stage.transfer("MPQA", {"test": [x]}, {"test": y}, random_seed=0)[0].value < 56
    )  # four standard deviations


@pytest.mark.usefixtures("few_fits")
def test_a_column_of_the_label_is_found() -> None:
    x, y = _data(100)
    x[:, 3] = 10 * y
    assert stage.transfer("MR", {"test": [x]}, {"test": y}, random_seed=0)[0].value == 100


LABELS = {"train": [0, 1] * 10, "validation": [0, 1], "test": [1, 0]}
FILES = {split: [Path(f"{split}.parquet")] for split in LABELS}


@pytest.mark.parametrize("task", list(stage.TRANSFER))
def test_labels_that_fit(task: str) -> None:
    needed = stage.TRANSFER[task].splits or ("train", "test")
    stage.check_labels(task, {split: LABELS[split] for split in needed}, FILES)


@pytest.mark.parametrize(
    ("task", "changed", "message"),
    [
        (
            "TREC",
            {"test": [1, None]},
            "test.parquet: column label is empty in row 2; add the label or remove the row.",
        ),
        ("TREC", {"test": [float("nan"), 1.0]}, "test.parquet: column label is empty in row 1;"),
        (
            "SST2",
            {"validation": [1, 1]},
            "validation.parquet: column label contains only the class 1, but SST2 requires",
        ),
        ("TREC", {"test": ["a", "a"]}, "test.parquet: column label contains only the class 'a', but TREC requires"),
        ("TREC", {"test": []}, "test.parquet: column label contains no classes, but TREC requires at least two."),
        ("TREC", {"test": [0, 1, 7]}, "test.parquet: column label contains the class 7, which train.parquet does not"),
        ("SST2", {"validation": [0, 7]}, "validation.parquet: column label contains the class 7, which train.parquet"),
        (
            "TREC",
            {"train": [1] + [0, 1] * 9},
            "train.parquet: column label contains 9 examples of the class 0, but",
        ),
        ("MRPC", {"train": ["yes", "no"]}, "train.parquet: column label contains 'yes' in row 1, but must be 0 or 1"),
        ("MRPC", {"test": [0, 1, 2]}, "test.parquet: column label contains 2 in row 3, but must be 0 or 1"),
    ],
)
def test_labels_that_do_not_fit(task: str, changed: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        stage.check_labels(task, {split: (LABELS | changed)[split] for split in stage.TRANSFER[task].splits}, FILES)
    assert str(error.value).startswith(message)


def test_a_whole_set_is_checked_as_one() -> None:
    stage.check_labels("MR", {"train": [0] * 10, "test": [1] * 10}, FILES)
    both = "test.parquet with train.parquet: column label contains"
    with pytest.raises(UserError, match=rf"^{both} only the class 0, but MR requires"):
        stage.check_labels("MR", {"train": [0] * 10, "test": [0] * 10}, FILES)
    with pytest.raises(
        UserError, match=rf"^{both} 9 examples of the class 1, but 10-fold cross-validation requires 10"
    ):
        stage.check_labels("MR", {"train": [0, 1] * 5, "test": [0, 0, 1] * 4}, FILES)
