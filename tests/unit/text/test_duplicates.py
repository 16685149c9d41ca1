"""Duplicates and near duplicates."""

from __future__ import annotations

import random

import pytest
from datasketch import MinHash, MinHashLSH

from rankrefine.text.duplicates import PERMUTATIONS, Contamination, KnownSentences, NearDuplicates, shingles
from rankrefine.text.words import jaccard, words


def _repeated(threshold: float, sentences: list[list[str]]) -> set[int]:
    near = NearDuplicates(threshold, len(sentences))
    for tokens in sentences:
        near.add(tokens)
    return near.repeated(sentences.__getitem__)


def test_near_duplicates_are_found_at_their_exact_similarity() -> None:
    first = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    second = [*first[:-1], "eleven"]  # 8 shared pairs of 10
    assert jaccard(shingles(first), shingles(second)) == 0.8
    for threshold, expected in ((0.8, True), (0.81, False)):
        assert _repeated(threshold, [first, second]) == ({1} if expected else set())


@pytest.mark.parametrize("threshold", [0.01, 0.7, 0.99, 1.0])
def test_any_threshold_finds_the_same_word_pairs(threshold: float) -> None:
    tokens = ["a", "b", "c", "a", "b", "c", "d", "e"]
    assert _repeated(threshold, [tokens, ["x", "y"], ["x"], tokens, [], []]) == {3}


def test_near_duplicate_index_agrees_with_brute_force() -> None:
    """It invents no pair; at 0.73 (one word of 14 changed) 20 bands of 6 miss 3 % of them, so allow 6 %."""
    dice = random.Random(3)
    base = [[f"w{dice.randrange(400)}" for _ in range(14)] for _ in range(100)]
    lists = [list(tokens) for tokens in base for _ in range(3)]
    for tokens in lists:
        if dice.random() < 0.7:
            tokens[dice.randrange(14)] = "changed"
    dice.shuffle(lists)
    repeated, kept, missed, found = _repeated(0.7, lists), [], 0, 0
    for number, tokens in enumerate(lists):
        truth = any(jaccard(shingles(tokens), other) >= 0.7 for other in kept)
        if number in repeated:
            assert truth
            found += 1
        else:
            missed += truth
            kept.append(shingles(tokens))
    assert found > 50
    assert missed <= 0.06 * found


@pytest.mark.parametrize("threshold", [0.3, 0.7, 0.95])
def test_sorted_bands_choose_what_an_index_in_memory_does(threshold: float) -> None:
    """datasketch's own index, asked and filled sentence by sentence, over 3000 sentences with many alike."""
    dice = random.Random(5)
    sentences = [[f"w{dice.randrange(60)}" for _ in range(dice.randrange(1, 9))] for _ in range(1500)]
    sentences += [[*tokens[: dice.randrange(9)], "x", *tokens] for tokens in sentences]
    index = MinHashLSH(threshold=0.8 * threshold, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
    repeated = set()
    for number, tokens in enumerate(sentences):
        signature = MinHash(num_perm=PERMUTATIONS)
        signature.update_batch([pair.encode() for pair in shingles(tokens)])
        alike = (jaccard(shingles(tokens), shingles(sentences[other])) for other in index.query(signature))
        if any(value >= threshold for value in alike):
            repeated.add(number)
        else:
            index.insert(number, signature)
    assert len(repeated) > 50
    assert _repeated(threshold, sentences) == repeated


def test_the_earlier_of_two_duplicates_stays() -> None:
    known = KnownSentences(Contamination([], 4, 0.5))
    assert [known.reason(words(text)) for text in ("Ah, one.", "Ah one!", "Other")] == [None, "duplicate", None]
