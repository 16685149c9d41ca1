"""JSON of metrics; distinct sentences and positive pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rankrefine.errors import UserError
from rankrefine.evaluate import sentence_pairs
from rankrefine.evaluate.metric import Metric


def test_a_metric_survives_json() -> None:
    metric = Metric.mean("alignment", np.array([1.0, 2.0], dtype=np.float32), subset="news", higher=False)
    fields = {"metric": "alignment", "subset": "news", "value": 1.5, "higher": False}
    expected = fields | {"scores": [1.0, 2.0], "gold": None, "predicted": None}
    assert json.loads(json.dumps(metric.as_dict())) == expected
    pairs = Metric("spearman", np.float64(3.0), gold=np.array([1, 2]), predicted=np.array([0.5, 0.25]))
    assert json.loads(json.dumps(pairs.as_dict())) == {
        "metric": "spearman",
        "subset": "all",
        "value": 3.0,
        "higher": True,
        "scores": None,
        "gold": [1, 2],
        "predicted": [0.5, 0.25],
    }


def test_distinct_sentences_lead_back_to_the_pairs() -> None:
    first, second = ["a", "b", "a", "c"], ["b", "a", "d", "c"]
    sentences, pairs = sentence_pairs.distinct_sentences(first, second)
    assert sentences == ["a", "b", "c", "d"]
    assert [sentences[index] for index in pairs[:, 0]] == first
    assert [sentences[index] for index in pairs[:, 1]] == second
    assert sentence_pairs.distinct_sentences([], [])[1].shape == (0, 2)


def test_positive_pairs() -> None:
    assert sentence_pairs.positives(np.array([3.99, 4.0, 5.0, 0.0])).tolist() == [False, True, True, False]


@pytest.mark.parametrize(("gold", "why"), [([0.1, 0.9], "the highest is 0.9"), ([], "there are no pairs")])
def test_no_positive_pair(gold: list[float], why: str) -> None:
    message = rf"^No pair has a score of 4 or more \({why}\), .* scored from 0 to 5\.$"
    with pytest.raises(UserError, match=message):
        sentence_pairs.positives(np.array(gold))
