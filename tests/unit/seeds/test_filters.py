"""Filters of single sentences."""

from __future__ import annotations

import pytest

from rankrefine.config import load as configuration
from rankrefine.seeds.filters import filters


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The committee met again on Monday.", None),
        ('"We will see," said Mr. Berlin, who lives in the U.S. now.', None),
        ("Did Gov. Roemer of Louisiana sign the bill?", None),
        ("Déjà vu, he thought, and went home.", None),
        ("", "empty"),
        ("Four words are few.", "too short"),
        ("Word " * 24 + "end.", "too long"),
        ("no capital letter at the start.", "does not match require_pattern"),
        ("No stop at the end of it", "does not match require_pattern"),
        ("See http://example.org for the rest.", "matches exclude_pattern"),
        ("Thanks to @anonymous for the nice day.", "matches exclude_pattern"),
        ("Well... that was not so good.", "matches exclude_pattern"),
        ("What was that about again?!", "matches exclude_pattern"),
        ("It was raining all day :( again.", "matches exclude_pattern"),
        ("That was sooo very nice of you.", "matches exclude_pattern"),
        ("STOP DOING THAT to your poor brother.", "matches exclude_pattern"),
        ("I was at home. Nobody rang the bell.", "matches exclude_pattern"),
        ("Is it late? I did not notice.", "matches exclude_pattern"),
        ('"They took it; the bank took my money.', "matches exclude_pattern"),
        ("Это предложение не на латинице.", "does not match require_pattern"),
        ("He said привет and went away.", "matches exclude_pattern"),
    ],
)
def test_default_filters(text: str, reason: str | None) -> None:
    tests = filters(configuration.complete({})["seeds"])
    assert next((name for name, drops in tests.items() if drops(text)), None) == reason


def test_empty_patterns_allow_all() -> None:
    section = configuration.complete({"seeds": {"require_pattern": "", "exclude_pattern": "", "min_words": 1}})[
        "seeds"
    ]
    assert not any(drops("anything # goes") for drops in filters(section).values())
