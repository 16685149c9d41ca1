"""Pairs of rows in made-up batches: which belong together, what they emit, and what they emit when out of step."""

from __future__ import annotations

import random

import pytest
import torch

from rankrefine.llm.guidance import Sampling, choose, draws
from rankrefine.llm.vllm.pairs import KEY, Part, Row, describe, match, read, steer

GREEDY, SAMPLED = Sampling(max_new_tokens=8), Sampling(temperature=0.9, plausibility=4.0, max_new_tokens=8)
WORDS = 40


def part(pair: int, role: str, sampling: Sampling = SAMPLED, scale: float = 1.5) -> Part:
    mark = 1 if role == "negative" else 0
    return read(describe(str(pair), role, scale, sampling, mark, (2024, f"seed {pair}", 1)))


def logits(rows: int) -> torch.Tensor:
    return torch.randn(rows, WORDS, generator=torch.Generator().manual_seed(rows)) * 3


def emitted(values: torch.Tensor, rows: list[Row], last: torch.Tensor | None = None) -> list[int]:
    """The tokens that `steer` leaves, one per row of the logits."""
    after = values.clone()
    steer(after, rows, torch.zeros(len(values), dtype=torch.long) if last is None else last)
    return after.argmax(-1).tolist()


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_both_rows_emit_the_token_of_the_guidance_arithmetic(sampling: Sampling) -> None:
    """Rows lie in any order, pairs are at different tokens, with different scales, beside plain and foreign rows."""
    values = logits(9)
    places = random.Random(5).sample(range(9), 9)
    rows = []
    for pair, (first, second) in enumerate([(0, 1), (2, 3), (4, 5)]):
        for role, place in (("prompt", first), ("negative", second)):
            rows.append(Row(part(pair, role, sampling, 1 + pair / 2), places[place], emitted=pair))
    rows.append(Row(part(9, "alone", sampling), places[6], emitted=3))
    random.Random(6).shuffle(rows)
    found = emitted(values, rows)
    for pair in range(3):
        first, negative = values[places[2 * pair]], values[places[2 * pair + 1]]
        uniform = torch.tensor(draws(8, 2024, f"seed {pair}", 1)[pair : pair + 1])
        expected = choose(first[None], negative[None], 1 + pair / 2, sampling, uniform).item()
        assert found[places[2 * pair]] == found[places[2 * pair + 1]] == expected
    uniform = torch.tensor(draws(8, 2024, "seed 9", 1)[3:4])
    assert found[places[6]] == choose(values[places[6]][None], None, 1.0, sampling, uniform).item()
    assert [found[place] for place in places[7:]] == values[places[7:]].argmax(-1).tolist()


def test_guidance_changes_tokens_and_its_absence_does_not() -> None:
    values = logits(40)
    guided = [Row(part(i, role, GREEDY), *rest) for i, role, *rest in _positions()]
    plain = [Row(part(i, role, GREEDY, 1.0), *rest) for i, role, *rest in _positions()]
    best = values.argmax(-1).tolist()
    assert emitted(values, guided)[::2] != best[::2]
    assert emitted(values, plain)[::2] == best[::2]


def _positions() -> list[tuple[int, str, int, int]]:
    return [(i, role, 2 * i + j, 0) for i in range(20) for j, role in ((0, "prompt"), (1, "negative"))]


def test_only_one_token_stays_possible_also_for_a_random_sampler() -> None:
    values = logits(2)
    steer(values, [Row(part(1, "prompt"), 0, 2), Row(part(1, "negative"), 1, 2)], torch.zeros(2, dtype=torch.long))
    for temperature in (0.1, 1.0, 5.0):
        assert torch.equal((values / temperature).softmax(-1).amax(-1), torch.ones(2))


@pytest.mark.parametrize(
    ("rows", "last"),
    [
        ([("prompt", 0, 2)], [7, 7]),
        ([("negative", 1, 2)], [7, 7]),
        ([("prompt", 0, 2), ("negative", 1, 1)], [7, 7]),
        ([("prompt", 0, 0), ("negative", 1, 3)], [7, 7]),
        ([("prompt", 0, 2), ("negative", 1, 2)], [7, 8]),
    ],
    ids=["no negative row", "no row of the prompt", "a token behind", "ahead", "another last token"],
)
def test_rows_out_of_step_emit_their_marks(rows: list[tuple[str, int, int]], last: list[int]) -> None:
    """Marks differ between the roles, so the two completions differ, in whatever steps the rows emit them."""
    found = emitted(logits(2), [Row(part(1, role), place, count) for role, place, count in rows], torch.tensor(last))
    for role, place, _ in rows:
        assert found[place] == part(1, role).mark
    assert part(1, "prompt").mark != part(1, "negative").mark


def test_last_tokens_count_from_the_second_token_on() -> None:
    rows = [Row(part(1, "prompt"), 0, 0), Row(part(1, "negative"), 1, 0)]
    assert emitted(logits(2), rows, torch.tensor([7, 8])) == emitted(logits(2), rows, torch.tensor([7, 7]))


def test_rows_of_different_pairs_and_two_of_one_role_do_not_match() -> None:
    strangers = [Row(part(1, "prompt"), 0, 0), Row(part(2, "negative"), 1, 0)]
    twins = [Row(part(3, "prompt"), 2, 0), Row(part(3, "prompt"), 3, 0)]
    together, apart = match([*strangers, *twins])
    assert together == []
    assert sorted(row.place for row in apart) == [0, 1, 2, 3]


def test_a_pair_once_out_of_step_stays_so() -> None:
    """A simulation in which rows miss steps: the completions are equal if and only if none was missed."""
    chooser = random.Random(1)
    for trial in range(30):
        tokens: dict[str, list[int]] = {"prompt": [], "negative": []}
        missed = False
        values = logits(2 + trial)[:2]
        for _ in range(8):
            present = [role for role in tokens if trial % 3 == 0 or chooser.random() < 0.9]
            missed |= len(present) == 1
            places = {role: place for place, role in enumerate(present)}
            last = torch.tensor([tokens[role][-1] if tokens[role] else -1 for role in present])
            rows = [Row(part(trial, role), places[role], len(tokens[role])) for role in present]
            found = emitted(values[: len(present)], rows, last) if present else []
            for role, place in places.items():
                tokens[role].append(found[place])
        assert (tokens["prompt"] == tokens["negative"]) == (not missed)


def test_what_a_row_is_survives_its_way_through_plain_values() -> None:
    assert read(None) is None
    assert read({"another": 1}) is None
    found = part(3, "negative", SAMPLED, 2.5)
    assert (found.pair, found.role, found.scale, found.sampling, found.mark) == ("3", "negative", 2.5, SAMPLED, 1)
    assert found.uniforms.tolist() == draws(8, 2024, "seed 3", 1).tolist()


@pytest.mark.parametrize("wrong", [3, {}, {"pair": "1", "role": "prompt"}])
def test_arguments_that_are_not_ours_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="was not written by GuidedLLM"):
        read({KEY: wrong})


def test_without_vllm_the_error_says_how_to_get_it(monkeypatch, tmp_path) -> None:
    from rankrefine.errors import UserError
    from rankrefine.llm.vllm import engine

    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"vLLM is not installed in this environment; see docs/vllm\.md"):
        engine.load(tmp_path, [], SAMPLED, 4, {}, None)
