"""Groups of sentences by length."""

from __future__ import annotations

import random

import pytest

from rankrefine.encoders.lengths import groups


@pytest.mark.parametrize("cost", [0, 3, 20, 1000])
def test_groups_cost_least(cost: int) -> None:
    """Against every way to cut the sorted lengths."""
    generator = random.Random(cost)
    for _ in range(20):
        lengths = [generator.randint(3, 12) for _ in range(9)]
        result = groups(lengths, cost)
        assert sorted(place for places in result for place in places) == list(range(9))
        sorted_lengths = sorted(lengths)
        every = []
        for cuts in range(2**8):
            ends = [n + 1 for n in range(8) if cuts >> n & 1] + [9]
            starts = zip([0, *ends[:-1]], ends, strict=True)
            every.append(sum((end - start) * sorted_lengths[end - 1] + cost for start, end in starts))
        assert sum(len(places) * max(lengths[p] for p in places) + cost for places in result) == min(every)
    assert groups([4] * 5, 0) == [[0, 1, 2, 3, 4]]
