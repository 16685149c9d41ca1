"""Scores of the fake engine."""

from __future__ import annotations

import numpy as np

from rankrefine.llm.fake.engine import FakeEngine

CHAT = ({"role": "user", "content": "How similar?"},)


def test_scores_depend_on_prompt_and_label_and_add_up_to_one() -> None:
    engine, labels = FakeEngine(), list("012345")
    scores = engine.score(["a", "b", CHAT], labels)
    assert scores.shape == (3, 6)
    assert np.allclose(np.exp(scores).sum(1), 1)
    assert np.array_equal(engine.score([CHAT, "b", "a"], labels[::-1]), scores[::-1, ::-1])
    assert len(set(scores.flatten().tolist())) == scores.size
