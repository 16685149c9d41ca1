"""The expected label: by hand, its range, and the division by a prior."""

from __future__ import annotations

import numpy as np
import pytest

from rankrefine.llm.scoring import expected

LABELS = np.arange(6) / 5


def some(rows: int = 7) -> np.ndarray:
    return np.random.default_rng(3).normal(-5, 3, (rows, 6))


def test_by_hand() -> None:
    logprobs = np.log([[0.1, 0.3], [0.2, 0.05]])
    assert expected(logprobs, [0, 1]) == pytest.approx([0.75, 0.2])
    assert expected(logprobs, [0, 1], np.log([0.5, 0.25])) == pytest.approx([1.2 / 1.4, 0.2 / 0.6])


def test_a_certain_label_gives_its_value_and_equal_ones_the_mean() -> None:
    certain = np.where(np.eye(6), 0.0, -np.inf)
    assert expected(certain, LABELS) == pytest.approx(LABELS)
    assert expected(np.full((1, 6), -40.0), LABELS) == pytest.approx([0.5])


def test_only_the_ratios_of_a_row_count() -> None:
    """The probability of all labels together, and very small ones, change nothing."""
    values = expected(some(), LABELS)
    assert ((values > 0) & (values < 1)).all()
    assert expected(some() - 2000, LABELS) == pytest.approx(values)
    assert expected(some().astype(np.float32), LABELS) == pytest.approx(values, abs=1e-6)


def test_the_prior_itself_is_neutral_and_a_flat_prior_changes_nothing() -> None:
    logprobs = some()
    assert expected(logprobs, LABELS, logprobs) == pytest.approx([0.5] * 7)
    assert expected(logprobs[:1], LABELS, logprobs[0]) == pytest.approx([0.5])
    assert expected(logprobs, LABELS, np.full(6, -3.0)) == pytest.approx(expected(logprobs, LABELS))
