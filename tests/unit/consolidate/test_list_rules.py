"""Quality rules of whole lists."""

from __future__ import annotations

from random import Random

import pytest

from rankrefine.consolidate.list_rules import list_problem
from rankrefine.text.rewrite_rules import Limits, problem

RULES = {"collapse_repeats": 3, "limits": Limits(min_words=2, max_words=12)}
GOOD = ["The cat sat on the mat.", "On the mat, there was a cat.", "A pet rested on a rug.", "Some animal lay down."]


def test_a_good_list_has_no_problem() -> None:
    assert list_problem(GOOD, **RULES) is None


def test_rewrites_without_spaces_are_as_long_as_others() -> None:
    chinese = ["猫在垫子上睡觉。", "垫子上有一只正在睡觉的猫。", "一只宠物躺在地毯上。", "猫" * 20]
    assert list_problem(chinese[:3], **RULES) is None
    assert list_problem(chinese, **RULES) == "too long"


@pytest.mark.parametrize(
    ("sentences", "reason"),
    [
        (GOOD[:1], "no rewrite"),
        ([*GOOD, "One line.\nAnother."], "newline"),
        ([GOOD[0], "x y", "x y", "a b", "x y"], "collapse"),
        ([GOOD[0], "x y", "x y", "x y", "a b", "c d"], "repeat"),
        ([GOOD[0], "a b", "x y", "x y", "x y"], "collapse"),
        ([*GOOD, "the CAT sat, on the mat"], "repeat"),
        ([*GOOD, "!?"], "empty"),
        ([*GOOD, "Cats."], "too short"),
        ([*GOOD, "word " * 13], "too long"),
        ([*GOOD, "I'm sorry, but that goes too far."], "refusal"),
        ([*GOOD, "As an AI language model, no opinion."], "refusal"),
        ([*GOOD, "Sure, here it is: a cat."], "marker"),
        ([*GOOD, "This is the rephrased sentence of yours."], "marker"),
        ([*GOOD, "user: a cat sat"], "marker"),
    ],
)
def test_each_rule_drops_under_its_reason(sentences: list[str], reason: str) -> None:
    assert list_problem(sentences, **RULES) == reason


def test_collapse_counts_the_last_two_sentences_only() -> None:
    twice = [GOOD[0], "x y", "x y", "a b", "c d"]
    assert list_problem(twice, **RULES) == "repeat"  # not collapse: neither of the last two is repeated
    assert list_problem([GOOD[0], "a b", "x y", "x y"], **RULES | {"collapse_repeats": 2}) == "collapse"


def test_a_list_is_judged_as_its_rewrites_one_by_one() -> None:
    """With and without repeats, which are looked for in two ways: the reason is that of the first bad rewrite."""
    dice = Random(3)
    texts = [*GOOD, "the CAT sat, on the mat", "Cats.", "!?", "word " * 13, "Sure, a cat.", "A cat sat on that mat."]
    found = set()
    for closeness in (1.0, 0.5):
        limits = Limits(min_words=2, max_words=12, max_overlap=closeness)
        for _ in range(300):
            sentences = [GOOD[0], *dice.choices(texts[1:], k=dice.randrange(1, 6))]
            one_by_one = (problem(text, sentences[:at], limits) for at, text in enumerate(sentences) if at)
            reason = list_problem(sentences, 9, limits)
            assert reason == next(filter(None, one_by_one), None), sentences
            found.add(reason)
    assert {None, "repeat", "too similar", "too short", "too long", "empty", "marker"} <= found
