"""Spearman correlation and bootstrap against scipy, done the slow way."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.stats import spearmanr

from rankrefine.evaluate import statistics


def _data(n: int, models: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gold scores with many ties (steps of 0.5), and predictions with a few."""
    rng = np.random.default_rng(seed)
    gold = np.round(rng.uniform(0, 5, n) * 2) / 2
    return gold, np.round(gold + rng.normal(size=(models, n)), 1)


def test_bootstrap_is_spearman_of_the_resampled_pairs() -> None:
    gold, predictions = _data(50, models=3)
    found = statistics.bootstrap(gold, predictions, 40, random_seed=7)
    drawn = np.random.default_rng(7).integers(50, size=(40, 50))
    slow = [[spearmanr(gold[rows], model[rows])[0] for rows in drawn] for model in predictions]
    np.testing.assert_allclose(found, slow, atol=1e-12, rtol=0)


def test_bootstrap_does_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    gold, predictions = _data(30)
    whole = statistics.bootstrap(gold, predictions, 101, random_seed=1)
    monkeypatch.setattr(statistics, "BLOCK", 7 * 30)
    np.testing.assert_array_equal(statistics.bootstrap(gold, predictions, 101, random_seed=1), whole)
    assert not np.array_equal(statistics.bootstrap(gold, predictions, 101, random_seed=2), whole)


def test_models_share_their_resamples() -> None:
    gold, predictions = _data(40)
    first, second, again = statistics.bootstrap(gold, np.stack([*predictions, predictions[0]]), 50, random_seed=3)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)


def test_undefined_resamples_do_not_count() -> None:
    gold, predictions = np.array([1.0, 2.0]), np.array([[1.0, 2.0]])
    samples = statistics.bootstrap(gold, predictions, 100, random_seed=0)[0]
    assert np.isnan(samples).any()
    assert statistics.interval(samples, 0.95) == (1.0, 1.0)
    assert np.isnan(statistics.interval(np.full(5, np.nan), 0.95)).all()


def test_interval_covers_the_true_correlation() -> None:
    """Bivariate normal with correlation r: the population Spearman correlation is 6/pi asin(r/2)."""
    truth = 6 / np.pi * np.arcsin(0.7 / 2)
    rng, covered = np.random.default_rng(0), 0
    for trial in range(200):
        x, noise = rng.normal(size=(2, 200))
        samples = statistics.bootstrap(x, (0.7 * x + np.sqrt(1 - 0.49) * noise)[None], 500, random_seed=trial)[0]
        low, high = statistics.interval(samples, 0.95)
        covered += low <= truth <= high
    assert 0.91 <= covered / 200 <= 0.98  # binomial, two standard deviations


def test_interval_of_a_difference_covers_the_true_one() -> None:
    """Two models of the same pairs, whose correlations differ by a known amount."""
    truth = 6 / np.pi * (np.arcsin(0.8 / 2) - np.arcsin(0.6 / 2))
    rng, covered = np.random.default_rng(1), 0
    for trial in range(200):
        x, first, second = rng.normal(size=(3, 200))
        models = np.stack([r * x + np.sqrt(1 - r * r) * noise for r, noise in ((0.6, first), (0.8, second))])
        worse, better = statistics.bootstrap(x, models, 500, random_seed=trial)
        low, high = statistics.interval(better - worse, 0.95)
        covered += low <= truth <= high
    assert 0.91 <= covered / 200 <= 0.98


def test_means_of_resampled_units() -> None:
    scores = np.random.default_rng(0).uniform(size=(3, 50))
    found = statistics.bootstrap_means(scores, 40, random_seed=7)
    drawn = np.random.default_rng(7).integers(50, size=(40, 50))
    np.testing.assert_allclose(found, [[model[rows].mean() for rows in drawn] for model in scores], atol=1e-12)


def test_the_spread_of_means_is_the_standard_error() -> None:
    scores = np.random.default_rng(0).normal(size=(1, 400))
    found = statistics.bootstrap_means(scores, 4000, random_seed=1)[0]
    assert found.std() == pytest.approx(scores.std() / 20, rel=0.05)


def test_memory_stays_small() -> None:
    gold, predictions = _data(1379)
    tracemalloc.start()
    statistics.bootstrap(gold, predictions, 2000, random_seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
