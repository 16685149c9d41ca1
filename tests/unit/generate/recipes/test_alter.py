"""Masked words, and other names and numbers."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankrefine.generate.recipes.alter import MASK, mask, replace_names

NAMES = ["Harper", "Lake Como"]


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30), st.floats(0.01, 1), st.integers(0, 99))
def test_a_share_of_the_words_is_masked_and_the_others_stay_in_order(words: list[str], rate: float, seed: int) -> None:
    masked = mask(" ".join(words), rate, Random(seed)).split()
    rest = iter(words)
    assert all(word in rest for word in masked if word != MASK)
    assert len(words) - sum(word != MASK for word in masked) == math.ceil(round(rate * len(words), 6))
    assert MASK in masked and mask(" ".join(words), rate, Random(seed)).split() == masked


def test_neighbouring_masks_become_one_in_half_of_the_cases() -> None:
    lengths = [len(mask("a b", 1.0, Random(seed)).split()) for seed in range(1000)]
    assert set(lengths) == {1, 2} and 400 < lengths.count(1) < 600


@pytest.mark.parametrize(
    ("sentence", "pattern"),
    [
        (
            "We saw Carl and then Carl left.",
            {"We saw Harper and then Harper left.", "We saw Lake Como and then Lake Como left."},
        ),
        ("We met Dr. Smith.", {"We met Dr. Harper.", "We met Dr. Lake Como."}),
        ("Are you in New York?", {"Are you in Harper?", "Are you in Lake Como?"}),
        (
            "She came in January.",
            {
                f"She came in {month}."
                for month in (
                    "February",
                    "March",
                    "April",
                    "May",
                    "June",
                    "July",
                    "August",
                    "September",
                    "October",
                    "November",
                    "December",
                )
            },
        ),
        ("It cost $7.50.", {f"It cost ${digit}.50." for digit in "12345689"}),
        ("7 of them left.", {f"{digit} of them left." for digit in "12345689"}),
        ("Born in 1998.", {f"Born in 19{year:02}." for year in range(100) if year != 98}),
    ],
)
def test_names_and_numbers_become_others_of_their_kind(sentence: str, pattern: set[str]) -> None:
    assert {replace_names(sentence, NAMES, Random(seed)) for seed in range(2000)} == pattern


@pytest.mark.parametrize(
    "sentence", ["A cat sleeps.", "I think I'm late.", '"Well done," she said.', "", "Élan is all."]
)
def test_a_sentence_without_names_and_numbers_has_no_change(sentence: str) -> None:
    assert replace_names(sentence, NAMES, Random(1)) is None
