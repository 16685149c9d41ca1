"""Targets against the documentation, loops and cases by hand."""

from __future__ import annotations

from itertools import permutations
from math import log
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rankrefine.config.load import schema
from rankrefine.refine.targets import TARGETS, correction, mean_profile, pairs, target_function, targets

FLOAT = torch.float64
METHOD = Path(__file__).parents[3] / "docs" / "method.md"


def oracle(similarity: list[list[float]], omega: float) -> list[list[float]]:
    """The correction of one list, straight from the description of stage 4."""
    size = len(similarity)
    result = [[0.0] * size for _ in range(size)]
    for j in range(size):
        tail = similarity[j][j:]
        falling = sorted(range(len(tail)), key=lambda o: -tail[o])  # sorted() is stable: ties as generated
        for l in range(j, size):  # noqa: E741
            o = l - j
            position = falling.index(o)
            gap = abs(similarity[j][l] - tail[falling[o]])
            sign = 1 if position > o else -1 if position < o else 0
            result[j][l] = result[l][j] = sign * log(1 + omega * gap)
    return result


def embedded(sizes: list[int], seed: int, dim: int = 6) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(size, dim, generator=generator, dtype=FLOAT) for size in sizes]
    return [torch.nn.functional.normalize(row + 0.5, dim=-1) for row in rows]


def cosines(embeddings: Tensor, tau: float) -> Tensor:
    return embeddings @ embeddings.T / tau


def ordering(target: Tensor) -> list[list[int]]:
    return target.argsort(dim=-1, descending=True, stable=True).tolist()


def test_three_sentences_worked_by_hand():
    # The teacher finds sentence 2 nearer to the seed (14) than sentence 1 (10); generated was 0, 1, 2.
    #
    # row 0: tail 20 10 14, sorted 20 14 10
    #   l = 1, o = 1: the value of place 1 is 14, gap |10 - 14| = 4; 1 is at place 2 > 1: worse than generated, +
    #   l = 2, o = 2: the value of place 2 is 10, gap |14 - 10| = 4; 2 is at place 1 < 2: better than generated, -
    # row 1: tail 20 6, in order: nothing.    row 2: tail 20: nothing.
    # log(1 + 0.5 * 4) = log 3
    similarity = torch.tensor([[20.0, 10, 14], [10, 20, 6], [14, 6, 20]])
    by_hand = torch.tensor([[0, log(3), -log(3)], [log(3), 0, 0], [-log(3), 0, 0]])
    result = correction(similarity[None], torch.tensor([3]), 0.5)[0]
    assert torch.allclose(result, by_hand)
    # 10 + 1.10 < 14 - 1.10: omega 0.5 cannot turn neighbours round; with omega 2, 10 + log 9 > 14 - log 9 does
    assert ordering(similarity + result)[0] == [0, 2, 1]
    assert ordering(similarity + correction(similarity[None], torch.tensor([3]), 2)[0])[0] == [0, 1, 2]


def test_signs_compare_with_the_offset_not_with_the_index():
    # Row 1 alone is out of order: its tail 20 5 9 has the offsets 0 1 2. Sentence 2 (o = 1) is at place 2: +.
    # Compared with the index l = 2, as the released code does, it would get no sign at all.
    similarity = torch.tensor([[20.0, 15, 14, 13], [15, 20, 5, 9], [14, 5, 20, 3], [13, 9, 3, 20]])
    result = correction(similarity[None], torch.tensor([4]), 0.5)[0]
    by_hand = torch.zeros(4, 4)
    by_hand[1, 2] = by_hand[2, 1] = log(3)
    by_hand[1, 3] = by_hand[3, 1] = -log(3)
    assert torch.allclose(result, by_hand)


@pytest.mark.parametrize("omega", [0, 0.5, 2, 100])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_oracle_on_ragged_lists(seed: int, omega: float):
    generator = torch.Generator().manual_seed(seed)
    sizes = [33, *torch.randint(2, 12, (4,), generator=generator).tolist()]
    embeddings = embedded(sizes, seed)
    padded = torch.full((len(sizes), 33, 33), torch.nan, dtype=FLOAT)  # padding must never be looked at
    for row, rows in zip(padded, embeddings, strict=True):
        row[: len(rows), : len(rows)] = cosines(rows, 0.05)
    result = correction(padded, torch.tensor(sizes), omega)
    for i, size in enumerate(sizes):
        expected = torch.tensor(oracle(padded[i, :size, :size].tolist(), omega), dtype=FLOAT)
        assert torch.allclose(result[i, :size, :size], expected, atol=1e-9)
    assert (result[~pairs(torch.tensor(sizes))] == 0).all()
    assert omega == 0 or (result != 0).any()


def test_ties_are_left_as_generated():
    similarity = torch.tensor([[20.0, 7, 7, 7], [7, 20, 7, 7], [7, 7, 20, 7], [7, 7, 7, 20]])
    assert (correction(similarity[None], torch.tensor([4]), 2.0) == 0).all()


def test_a_batch_is_its_lists_and_more_padding_changes_nothing():
    sizes = [2, 7, 4]
    embeddings = embedded(sizes, 1)
    batch = targets(embeddings, 0.05, 2.0, "paper")
    assert batch.shape == (3, 7, 7)
    for i, size in enumerate(sizes):
        assert torch.allclose(batch[i, :size, :size], targets([embeddings[i]], 0.05, 2.0, "paper")[0])
        assert (batch[i, size:] == -torch.inf).all()
        assert (batch[i, :, size:] == -torch.inf).all()


def test_targets_are_the_corrected_similarities_with_the_diagonal_first():
    rows = embedded([6], 3)[0]
    similarity = cosines(rows, 0.1)
    result = targets([rows], 0.1, 0.5, "paper")[0]
    expected = similarity + torch.tensor(oracle(similarity.tolist(), 0.5), dtype=FLOAT)
    away = ~torch.eye(6, dtype=torch.bool)
    assert torch.allclose(result[away], expected[away])
    assert [row[0] for row in ordering(result)] == list(range(6))


def test_a_copy_does_not_come_before_the_sentence_itself():
    rows = embedded([4], 5)[0].float()
    rows[2] = rows[1]
    assert [row[0] for row in ordering(targets([rows], 0.05, 1000.0, "paper")[0])] == [0, 1, 2, 3]


def test_omega_zero_leaves_the_order_to_the_teacher():
    rows = embedded([9], 4)[0]
    assert ordering(targets([rows], 0.05, 0.0, "paper")[0]) == ordering(cosines(rows, 0.05))


def test_omega_moves_drifting_lists_to_the_generated_order_but_only_up_to_a_point():
    # Signs grow with log(omega) whatever the place, so a very large omega turns right pairs round again. Of the
    # pairs in row 0, 0.81 agree with omega 0, 0.97 with 2, 0.84 with 100, 0.74 with 1e6.
    generator = torch.Generator().manual_seed(0)
    steps = torch.randn(100, 9, 16, generator=generator)
    drifting = (steps * torch.tensor([1.0, *[0.6] * 8])[:, None]).cumsum(1) + 0.3 * torch.randn(
        100, 9, 16, generator=generator
    )
    lists = list(torch.nn.functional.normalize(drifting, dim=-1))
    upper = torch.ones(8, 8).triu(1).bool()
    agreement = {}
    for omega in (0.0, 0.5, 2.0, 1e6):
        row = targets(lists, 0.05, omega, "paper")[:, 0, 1:]
        agreement[omega] = (row[:, :, None] > row[:, None, :])[:, upper].float().mean().item()
    assert agreement[0.0] < agreement[0.5] < agreement[2.0]
    assert agreement[1e6] < agreement[2.0]


def test_a_very_large_omega_is_not_the_generated_order_in_general():
    # The correction is bounded by the sign, not by the place. The teacher has the rewrites as 2 4 1 3: it ranks 2 too
    # early (-) and 3 too late (+), so a large omega turns even this pair round, on which both orders agree.
    similarity = torch.full((5, 5), 20.0)
    similarity[0] = similarity[:, 0] = torch.tensor([20.0, 12, 16, 10, 14])
    row = (similarity[None] + correction(similarity[None], torch.tensor([5]), 1e6))[0, 0]
    assert row[3] > row[2]
    assert similarity[0, 2] > similarity[0, 3]


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_ignores_padding_and_puts_the_sentence_itself_first(name: str):
    sizes = [2, 7, 4]
    embeddings = embedded(sizes, 1)
    profile = mean_profile(embeddings, 0.05)
    batch = targets(embeddings, 0.05, 2.0, name, profile)
    for i, size in enumerate(sizes):
        assert torch.allclose(batch[i, :size, :size], targets([embeddings[i]], 0.05, 2.0, name, profile)[0])
        assert (batch[i, size:] == -torch.inf).all() and (batch[i, :, size:] == -torch.inf).all()
        assert [row[0] for row in ordering(batch[i, :size, :size])] == list(range(size))


def test_the_released_target_compares_with_the_index():
    """Loops straight from the description: below the first row many signs point the wrong way."""
    rows = embedded([7], 8)[0]
    similarity = cosines(rows, 0.05)
    expected = torch.zeros(7, 7, dtype=FLOAT)
    for j in range(7):
        tail = similarity[j, j:].tolist()
        falling = sorted(range(len(tail)), key=lambda o: -tail[o])
        for o, value in enumerate(tail):
            position, l = falling.index(o), j + o  # noqa: E741
            sign = (position > l) - (position < l)
            expected[j, l] = expected[l, j] = sign * log(1 + 2.0 * abs(value - tail[falling[o]]))
    result = correction(similarity[None], torch.tensor([7]), 2.0, released=True)[0]
    assert torch.allclose(result, expected)
    paper = correction(similarity[None], torch.tensor([7]), 2.0)[0]
    assert torch.equal(result[0], paper[0])
    assert not torch.equal(result.sign(), paper.sign())


def place(similarity: Tensor, j: int, k: int) -> int:
    """Place of sentence k in row j, the most similar sentence first."""
    return sorted(similarity[j].tolist(), reverse=True).index(similarity[j, k].item())


# the table of docs/method.md, and the same element by element; C is tested above, omega is 2
DOCUMENTED = {
    "teacher": ("`A[j, l]`", lambda a, m, j, k: a[j, k]),
    "generated": ("`-abs(j - l)`", lambda a, m, j, k: -abs(j - k)),
    "paper": ("`A[j, l] + C[j, l]`", lambda a, m, j, k: a[j, k] + oracle(a.tolist(), 2.0)[j][k]),
    "borda": (
        "`-(P[j, l] + omega * abs(j - l)) / (1 + omega)`",
        lambda a, m, j, k: -(place(a, j, k) + 2.0 * abs(j - k)) / (1 + 2.0),
    ),
    "profile": (
        "`(A[j, l] + omega * M[j, l]) / (1 + omega)`",
        lambda a, m, j, k: (a[j, k] + 2.0 * m[j, k]) / (1 + 2.0),
    ),
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_targets_are_the_formulas_of_the_documentation(name: str):
    formula, element = DOCUMENTED[name]
    rows = [line for line in METHOD.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}`")]
    assert len(rows) == 1 and formula in rows[0]
    embeddings = embedded([6, 4], 12)
    mean, result = mean_profile(embeddings, 0.05), target_function(name, 0.05, 2.0, embeddings)(embeddings)
    for i, vectors in enumerate(embeddings):
        similarity = cosines(vectors, 0.05)
        for j, k in permutations(range(len(vectors)), 2):
            assert result[i, j, k].item() == pytest.approx(float(element(similarity, mean, j, k)), rel=1e-5)


def test_every_target_is_documented_and_in_the_schema():
    allowed = schema()["properties"]["refine"]["properties"]["target"]["enum"]
    assert sorted(allowed) == sorted(TARGETS)
    assert all(f"\n| `{name}`" in METHOD.read_text(encoding="utf-8") for name in TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_weighted_targets_are_those_that_change_with_omega(name: str):
    embeddings = embedded([6, 4], 13)
    low, high = (target_function(name, 0.05, omega, embeddings)(embeddings) for omega in (0.5, 2.0))
    assert TARGETS[name].weighted != torch.equal(low, high)


def test_generated_depends_on_positions_alone():
    target = targets(embedded([4], 2), 0.05, 2.0, "generated")[0]
    assert ordering(target) == [[0, 1, 2, 3], [1, 0, 2, 3], [2, 1, 3, 0], [3, 2, 1, 0]]


@pytest.mark.parametrize("name", ["borda", "profile"])
def test_fusion_leads_from_the_teacher_to_the_generated_order(name: str):
    steps = torch.randn(300, 6, 16, generator=torch.Generator().manual_seed(0))
    embeddings = list(torch.nn.functional.normalize(steps.cumsum(1), dim=-1))  # random walks away from the seed
    profile = mean_profile(embeddings, 0.05)
    teacher, generated = (targets(embeddings, 0.05, 0.0, alone) for alone in ("teacher", "generated"))
    none, all_of_it = (targets(embeddings, 0.05, omega, name, profile) for omega in (0.0, 1e6))
    assert ordering(none) == ordering(teacher)
    assert [row[0] for row in ordering(all_of_it)] == [row[0] for row in ordering(generated)]


def test_the_profile_is_the_mean_over_the_lists_that_reach_so_far():
    short, long = embedded([2, 3], 9)
    profile = mean_profile([short, long], 0.1)
    expected = cosines(long, 0.1).float()
    expected[:2, :2] = (expected[:2, :2] + cosines(short, 0.1).float()) / 2
    assert torch.allclose(profile, expected)
