"""Alignment, uniformity and effective rank against scipy, and their invariances."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.linalg import eigvalsh
from scipy.spatial.distance import cdist, pdist
from scipy.stats import ortho_group

from rankrefine.errors import UserError
from rankrefine.evaluate.metric import Metric
from rankrefine.evaluate.tasks import representation as stage


def _cloud(n: int = 60, dim: int = 12, seed: int = 0) -> np.ndarray:
    """Points off the origin, of uneven spread and length."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dim)) * rng.uniform(0.2, 2, dim) + rng.normal(size=dim)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _measure(rows: np.ndarray) -> list[Metric]:
    n = len(rows) // 2
    return stage.representation(rows[:n], rows[n:], np.linspace(0, 5, n), rows)


def test_alignment_is_the_squared_distance_on_the_sphere() -> None:
    left, right = _cloud(seed=1), _cloud(seed=2)
    expected = np.diag(cdist(_unit(left), _unit(right))) ** 2
    np.testing.assert_allclose(stage.alignment(left, right), expected, atol=1e-12)


def test_alignment_is_measured_on_positive_pairs_alone() -> None:
    left, right, gold = _cloud(4, seed=1), _cloud(4, seed=2), np.array([5.0, 3.9, 4.0, 0.0])
    found = stage.representation(left, right, gold, left)[0]
    np.testing.assert_array_equal(found.scores, stage.alignment(left, right)[[0, 2]])
    assert found.value == np.mean(found.scores)


def test_uniformity_is_that_of_pairwise_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _cloud()
    expected = np.log(np.mean(np.exp(-2 * pdist(_unit(rows), "sqeuclidean"))))
    assert stage.uniformity(rows) == pytest.approx(expected, abs=1e-12)
    monkeypatch.setattr(stage, "BLOCK", 7 * len(rows))  # 60 = 8 x 7 + 4 rows
    assert stage.uniformity(rows) == pytest.approx(expected, abs=1e-12)


def test_uniformity_needs_little_memory() -> None:
    rows = _cloud(6000, 8)
    tracemalloc.start()
    stage.uniformity(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6000**2 * 8 / 2


def test_effective_rank_is_the_entropy_of_the_singular_values() -> None:
    unit = _unit(_cloud())
    shares = np.sqrt(eigvalsh(unit.T @ unit))
    shares /= shares.sum()
    assert stage.effective_rank(_cloud()) == pytest.approx(np.exp(-np.sum(shares * np.log(shares))), rel=1e-9)


def test_effective_rank_counts_orthogonal_directions() -> None:
    assert stage.effective_rank(np.repeat(np.eye(9)[:5], 3, axis=0)) == pytest.approx(5)


def test_rotation_and_length_change_nothing() -> None:
    rows = _cloud()
    rng = np.random.default_rng(5)
    turned = rows @ ortho_group.rvs(rows.shape[1], random_state=5) * rng.uniform(0.1, 9, (len(rows), 1))
    before, after = ([metric.value for metric in _measure(some)] for some in (rows, turned))
    np.testing.assert_allclose(before, after, rtol=1e-9)


def test_an_encoder_without_differences() -> None:
    same = np.tile(_cloud(1), (10, 1))
    alignment, uniformity, rank = (metric.value for metric in _measure(same))
    assert (alignment, uniformity, rank) == (0, pytest.approx(0, abs=1e-12), pytest.approx(1))


def test_equal_sides_have_alignment_0_and_opposite_ones_4() -> None:
    rows = _cloud()
    assert not stage.alignment(rows, 3 * rows).round(12).any()
    np.testing.assert_allclose(stage.alignment(rows, -rows), 4)


def test_directions_of_better_and_intervals() -> None:
    found = {metric.name: metric for metric in _measure(_cloud())}
    assert {name: metric.higher for name, metric in found.items()} == {
        "alignment": False,
        "uniformity": False,
        "effective_rank": True,
    }
    assert [name for name, metric in found.items() if metric.scores is not None] == ["alignment"]


def test_too_few_sentences() -> None:
    row = _cloud(1)
    with pytest.raises(UserError, match=r"^Uniformity requires at least two distinct sentences, "):
        stage.representation(row, row, np.array([5.0]), row)
    with pytest.raises(UserError, match=r"^No pair has a score of 4 or more"):
        stage.representation(row, row, np.array([1.0]), row)
