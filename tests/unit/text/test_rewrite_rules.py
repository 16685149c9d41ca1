"""Quality rules for single rewrites."""

from __future__ import annotations

import pytest

from rankrefine.text.rewrite_rules import Limits, clean, problem, same

GOOD = ["The cat sat on the mat.", "On the mat, there was a cat.", "A pet rested on a rug.", "Some animal lay down."]


@pytest.mark.parametrize(
    ("rewrite", "limits", "reason"),
    [
        ("A cat sat on that mat.", Limits(max_overlap=0.57), "too similar"),  # 4 of 7 words
        ("A cat sat on that mat.", Limits(max_overlap=0.58), None),
        ("Mat the on sat cat.", Limits(), None),  # all words shared, but another sentence
        ("Mat the on sat cat.", Limits(max_overlap=0.99), "too similar"),
        ("A pet.", Limits(min_words=3), "too short"),
        ("A pet.", Limits(max_words=1), "too long"),
        ("user: a pet", Limits(forbid=["refusal"]), None),
        ("user: a pet", Limits(forbid=["marker"]), "marker"),
        ("I cannot swim.", Limits(forbid=["marker"]), None),
        ("I cannot swim.", Limits(forbid=["refusal"]), "refusal"),
        ("the cat sat on the mat", Limits(max_overlap=0.5, min_words=20, forbid=()), "repeat"),
        ("!", Limits(min_words=3, forbid=()), "empty"),
    ],
)
def test_limits_decide_what_is_rejected(rewrite: str, limits: Limits, reason: str | None) -> None:
    assert problem(rewrite, ["A dog ran.", "The cat sat on the mat.", "Something lay down."], limits) == reason


@pytest.mark.parametrize(
    "sentence", ["I cannot swim.", "Sorry is a hard word.", "He rewrote the law.", "Of course it rains."]
)
def test_ordinary_sentences_are_not_markers(sentence: str) -> None:
    if sentence.startswith("I cannot"):
        assert problem(sentence, GOOD) == "refusal"  # known cost: a first person refusal looks the same
    else:
        assert problem(sentence, GOOD) is None


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ('  "A cat sat."  ', "A cat sat."),
        ("```A cat   sat.```", "A cat sat."),
        ("“A cat sat.”", "A cat sat."),
        ('He said "no".', 'He said "no".'),
        ('"No," she said, "never."', '"No," she said, "never."'),
        ("“No,” she said, “never.”", "“No,” she said, “never.”"),
        ("'It's a dog's life.'", "It's a dog's life."),
        ("'Tis late,' he said, 'and dark.'", "'Tis late,' he said, 'and dark.'"),
        ("'\"Never\", he said.'", '"Never", he said.'),
        ('"A cat sat.', '"A cat sat.'),
        ("\"A cat sat.'", "\"A cat sat.'"),
        ('"', '"'),
        ("A cat\nsat.", "A cat\nsat."),
        ("Cafe\u0301", "Café"),
        ("", ""),
    ],
)
def test_clean(raw: str, text: str) -> None:
    assert clean(raw) == text


def test_same_sees_through_case_and_punctuation_but_not_through_vowel_signs() -> None:
    assert same("The CAT, sat!") == same("the cat sat")
    assert same("दिन में") != same("दान में")
    assert same("Straße") == same("STRASSE")
