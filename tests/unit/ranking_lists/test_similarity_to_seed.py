"""Statistics of the similarity to the seed sentence, by rank."""

from __future__ import annotations

import numpy as np
import pytest

from rankrefine.ranking_lists import similarity_to_seed


def test_similarity_by_rank():
    unit = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1], [0, 1], [0.6, 0.8], [0.8, 0.6], [1, 0]])
    cosines = similarity_to_seed.to_seed(unit, [4, 3, 1])
    assert np.allclose(cosines[0], [1, 0.8, 0.6, 0])
    assert np.allclose(cosines[1, :3], [1, 0.8, 0.6])
    assert np.isnan(cosines[1, 3])
    assert np.isnan(cosines[2, 1:]).all()
    cosines[1, 1:3] = [0.5, 0.7]
    result = similarity_to_seed.statistics(cosines)
    assert [rank["lists"] for rank in result["by_rank"]] == [3, 2, 2, 1]
    assert result["by_rank"][1] == {
        "rank": 1, "lists": 2, "mean": 0.65, "q10": 0.53, "q25": 0.575, "q50": 0.65, "q75": 0.725, "q90": 0.77
    }  # fmt: skip
    # ranks 1 and 2: .8 > .6 but .5 < .7; ranks 2 and 3: .6 > 0
    assert result["in_order_by_rank"] == [{"rank": 1, "pairs": 2, "share": 0.5}, {"rank": 2, "pairs": 1, "share": 1.0}]
    assert result["in_order"] == pytest.approx(2 / 3, abs=1e-6)


def test_similarity_of_lists_with_one_rewrite_has_no_order():
    result = similarity_to_seed.statistics(np.array([[1, 0.5], [1, 0.4]]))
    assert result["in_order"] is None
    assert result["in_order_by_rank"] == []
