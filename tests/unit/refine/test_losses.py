"""ListMLE against an oracle written with loops, and its invariances."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from rankrefine.refine.losses import RankingLoss, drift, info_nce, similarity
from rankrefine.training.ranking_losses import LOSSES, list_mle, list_mle_released, list_net


def oracle(scores: list[Tensor], target: list[Tensor]) -> Tensor:
    """Mean over lists of the mean over rows; each row place by place."""
    lists = []
    for list_scores, list_target in zip(scores, target, strict=True):
        rows = []
        for row, goal in zip(list_scores, list_target, strict=True):
            order = sorted(range(len(row)), key=lambda l: -goal[l].item())  # noqa: E741
            places = [torch.logsumexp(row[order[p:]], 0) - row[order[p]] for p in range(len(order))]
            rows.append(torch.stack(places).sum())
        lists.append(torch.stack(rows).mean())
    return torch.stack(lists).mean()


def lists(sizes: list[int], seed: int, scale: float = 20) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [scale * (2 * torch.rand(size, size, generator=generator) - 1) for size in sizes]


def padded(matrices: list[Tensor], fill: float, width: int | None = None) -> Tensor:
    width = width or max(map(len, matrices))
    beyond = [width - len(matrix) for matrix in matrices]
    return torch.stack([pad(m, (0, more, 0, more), value=fill) for m, more in zip(matrices, beyond, strict=True)])


def loss(scores: list[Tensor], target: list[Tensor], fill: float = 0.0, width: int | None = None) -> Tensor:
    return list_mle(padded(scores, fill, width), padded(target, -torch.inf, width))


def test_two_sentences_by_hand():
    # row 0 wants 0 before 1: log(e^2 + e^1) - 2, then log(e^1) - 1 = 0.   row 1 wants 1 before 0, scored 0 and 3:
    # log(e^0 + e^3) - 0, then 0. The loss is the mean of the two rows.
    scores, target = torch.tensor([[2.0, 1], [3, 0]]), torch.tensor([[9.0, 8], [8, 9]])
    expected = (torch.log1p(torch.tensor(-1.0).exp()) + 3 + torch.log1p(torch.tensor(-3.0).exp())) / 2
    assert torch.allclose(loss([scores], [target]), expected)


@pytest.mark.parametrize("seed", range(5))
def test_value_and_gradient_equal_the_oracle_on_ragged_lists(seed: int):
    sizes = [2, 9, 5, 33][: 2 + seed % 3]
    scores, target = lists(sizes, seed), lists(sizes, seed + 100)
    for matrix in scores:
        matrix.requires_grad_()
    result = loss(scores, target)
    gradients = torch.autograd.grad(result, scores)
    expected = oracle([matrix.double() for matrix in scores], target)
    assert torch.allclose(result.double(), expected, rtol=1e-5)
    for ours, theirs in zip(gradients, torch.autograd.grad(expected, scores), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_the_last_item_of_a_row_in_order_gets_no_gradient_however_far_it_is():
    # an epsilon in place of the exact sum would push it down for ever
    row = torch.tensor([[20.0, 14, 11, 5, 0]], requires_grad=True)
    scores = torch.cat([row, torch.zeros(4, 5)])[None]
    list_mle(scores, scores.detach() + torch.diag(torch.full((5,), 50.0))).backward()
    assert abs(row.grad[0, -1]) < 0.01


def test_a_batch_is_the_mean_of_its_lists():
    sizes = [2, 8, 5]
    scores, target = lists(sizes, 1), lists(sizes, 2)
    singles = torch.stack([loss([s], [t]) for s, t in zip(scores, target, strict=True)])
    assert torch.allclose(loss(scores, target), singles.mean())


@pytest.mark.parametrize("fill", [0.0, 1e6, -1e6, torch.inf, torch.nan])
def test_padding_changes_neither_value_nor_gradient(fill: float):
    sizes = [3, 6]
    scores, target = lists(sizes, 3), lists(sizes, 4)
    results = []
    for padding, width in ((0.0, 6), (fill, 11)):
        full = padded(scores, padding, width).requires_grad_()
        value = list_mle(full, padded(target, -torch.inf, width))
        (gradient,) = torch.autograd.grad(value, full)
        assert gradient.isfinite().all()
        assert (gradient[0, 3:] == 0).all()
        results.append((value, gradient[:, :6, :6]))
    assert torch.allclose(results[0][0], results[1][0])
    assert torch.allclose(results[0][1], results[1][1])


def test_the_right_order_costs_less_than_the_reversed_one():
    target = lists([7], 5)
    assert loss(target, target) < loss([-target[0]], target)


def test_only_the_order_of_the_target_counts():
    scores, target = lists([6], 6), lists([6], 7)
    assert torch.equal(loss(scores, target), loss(scores, [3 * target[0] ** 3 + 5]))


def test_equal_targets_keep_the_order_of_the_columns():
    scores = lists([5], 8)
    tied, falling = [torch.zeros(5, 5)], [torch.arange(5.0, 0, -1).expand(5, 5)]
    assert torch.equal(loss(scores, tied), loss(scores, falling))


def test_half_precision_scores_are_summed_in_float32():
    scores, target = lists([9], 9), lists([9], 10)
    rounded = scores[0].bfloat16()
    result = list_mle(rounded[None], target[0][None])
    assert result.dtype == torch.float32
    assert torch.equal(result, loss([rounded.float()], target))


class Given(torch.nn.Module):
    """A model that gives the embeddings it was constructed with."""

    def __init__(self, embeddings: Tensor) -> None:
        super().__init__()
        self.embeddings = torch.nn.Parameter(embeddings)

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": self.embeddings[features["input_ids"]]}


def test_the_module_takes_the_flattened_sentences_apart_again():
    generator = torch.Generator().manual_seed(11)
    embeddings = torch.randn(9, 4, generator=generator)
    target = padded(lists([3, 2, 4], 12), -torch.inf)
    model = Given(embeddings)
    result = RankingLoss(model, 0.1)([{"input_ids": torch.arange(9)}], {"target": target, "order": torch.arange(9)})
    result.backward()
    unit = normalize(embeddings, dim=-1)
    scores = [rows @ rows.T / 0.1 for rows in unit.split([3, 2, 4])]
    assert torch.allclose(result, list_mle(padded(scores, 0.0), target))
    assert torch.allclose(similarity(embeddings, [3, 2, 4], 0.1), padded(scores, 0.0), atol=1e-6)
    assert model.embeddings.grad.isfinite().all()
    assert (model.embeddings.grad.abs().sum(-1) > 0).all()


def released_oracle(scores: Tensor, target: Tensor) -> Tensor:
    """One list, as the paper's released code computes it, place by place."""
    rows = []
    for row, goal in zip(scores, target, strict=True):
        order = sorted(range(len(row)), key=lambda l: -goal[l].item())  # noqa: E741
        shifted = (row - row.max())[order]
        rows.append(sum(torch.log(shifted[p:].exp().sum() + 1e-7) - shifted[p] for p in range(len(order))))
    return torch.stack(rows).mean()


def test_the_released_loss_equals_its_description_and_saturates():
    scores, target = lists([6, 9], 21), lists([6, 9], 22)
    expected = torch.stack([released_oracle(s, t) for s, t in zip(scores, target, strict=True)]).mean()
    result = list_mle_released(padded(scores, 0.0), padded(target, -torch.inf))
    assert torch.allclose(result, expected, rtol=1e-4)
    # the drift row of the method's notes: exact 2.44, with the epsilon 3.26
    row = torch.tensor([[20.0, 14, 11, 5, 0]])
    drifting = torch.cat([row, torch.zeros(4, 5)])
    goal = torch.arange(5.0, 0, -1).expand(5, 5)
    excess = (list_mle_released(drifting[None], goal[None]) - list_mle(drifting[None], goal[None])) * 5
    assert excess > 0.1


def test_list_net_is_the_cross_entropy_of_the_other_sentences():
    scores, target = lists([4, 7], 23), lists([4, 7], 24)
    expected = []
    for s, t in zip(scores, target, strict=True):
        away = ~torch.eye(len(s), dtype=torch.bool)
        goal, given = (m[away].view(len(s), -1) for m in (t, s))
        expected.append(-(goal.softmax(-1) * given.log_softmax(-1)).sum(-1).mean())
    result = list_net(padded(scores, 0.0), padded(target, -torch.inf))
    assert torch.allclose(result, torch.stack(expected).mean(), rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_the_mean_of_its_lists_ignores_padding_and_prefers_the_right_order(name: str):
    sizes, ranking = [2, 8, 5], LOSSES[name]
    scores, target = lists(sizes, 25), lists(sizes, 26)
    singles = torch.stack([ranking(s[None], t[None]) for s, t in zip(scores, target, strict=True)])
    full = padded(scores, torch.nan, 11).requires_grad_()
    result = ranking(full, padded(target, -torch.inf, 11))
    assert torch.allclose(result, singles.mean())
    (gradient,) = torch.autograd.grad(result, full)
    assert gradient.isfinite().all()
    assert ranking(target[1][None], target[1][None]) < ranking(-target[1][None], target[1][None])


def test_the_contrastive_term_pairs_seeds_with_their_own_rewrites():
    embeddings = torch.eye(4)[[0, 0, 3, 1, 1, 2]]  # two lists: seed, first rewrite (equal to it), another
    assert info_nce(embeddings, [3, 3], 0.05) < 1e-6
    swapped = embeddings[[0, 4, 2, 3, 1, 5]]
    assert info_nce(swapped, [3, 3], 0.05) > 10


def test_the_anchor_is_zero_only_where_no_cosine_moved():
    base = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    turned = base @ torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(2)))[0]
    assert drift(turned, base, 0.05) < 1e-6
    moved = base.clone()
    moved[0] = -moved[0]
    assert drift(moved, base, 0.05) > 1
