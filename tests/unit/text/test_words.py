"""Words, and the overlap of two sets of them."""

from __future__ import annotations

from rankrefine.text.words import jaccard, ngrams, words


def test_words_ignore_case_punctuation_and_kind_of_apostrophe() -> None:
    assert words("“Don’t STOP,” (she) said!") == words("don't stop she said") == ["don't", "stop", "she", "said"]


def test_jaccard_is_the_shared_part_of_all_items() -> None:
    assert jaccard({"a", "b", "c"}, {"b", "c", "d"}) == jaccard({"b", "c", "d"}, {"a", "b", "c"}) == 0.5
    assert jaccard({"a"}, {"a"}) == 1
    assert jaccard({"a"}, set()) == jaccard(set(), set()) == 0


def test_ngrams_are_all_runs_of_words() -> None:
    assert ngrams(list("abcb"), 2) == {"a b", "b c", "c b"}
    assert ngrams(["a"], 2) == ngrams([], 1) == set()
