"""Objectives of the base encoder by hand-made batches, against oracles and the library."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize, pad

from rankrefine.base.objectives import (
    OBJECTIVES,
    contrastive,
    cosine,
    decayed_contrastive,
    jensen_shannon,
    masked_contrastive,
    masked_contrastive_released,
    rank_distillation,
    smoothed_contrastive,
    soft_contrastive,
)
from rankrefine.config import cross_field
from rankrefine.config.schema import leaves
from rankrefine.training.ranking_losses import list_mle, list_net

TAU = 0.05
SETTINGS = {"tau": TAU, "phi": 0.95, "sigma": 0.17, "beta": 1.0, "gamma": 1.0, "ranking_loss": "list_mle"}


def batch(seed: int = 0, size: int = 4, negatives: int | None = None) -> list[Tensor]:
    """Random embeddings: anchors, and candidates of which the first `size` are the positives."""
    generator = torch.Generator().manual_seed(seed)
    anchors = torch.randn(size, 8, generator=generator)
    positives = anchors + 0.5 * torch.randn(size, 8, generator=generator)
    others = anchors + torch.randn(size, 8, generator=generator)
    return [anchors.requires_grad_(), torch.cat([positives, others[:negatives]]).detach().requires_grad_()]


def from_logits(logits: Tensor) -> list[Tensor]:
    """Embeddings with these logits: anchor i is a unit vector, and a candidate has the cosine i in its place."""
    cosines = logits.T * TAU
    rest = (1 - cosines.square().sum(-1, keepdim=True)).sqrt()
    return [torch.eye(len(logits), len(logits) + 1), torch.cat([cosines, rest], dim=-1)]


def gradients(loss: Tensor, embeddings: list[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(loss, embeddings, retain_graph=True))


def logits_of(embeddings: list[Tensor], tau: float = TAU) -> Tensor:
    return normalize(embeddings[0], dim=-1) @ normalize(embeddings[1], dim=-1).T / tau


def equal(one: Tensor, other: Tensor, embeddings: list[Tensor]) -> bool:
    """Equal values and gradients."""
    pairs = [(one, other), *zip(gradients(one, embeddings), gradients(other, embeddings), strict=True)]
    return all(torch.allclose(left, right, atol=1e-5) for left, right in pairs)


def guide(embeddings: list[Tensor], value: float = 0.0) -> Tensor:
    return torch.full((len(embeddings[0]), len(embeddings[1])), value)


@pytest.mark.parametrize("negatives", [0, 1, 4])
def test_contrastive_is_the_log_softmax_over_all_positives_and_the_negatives_that_exist(negatives: int):
    embeddings = batch(negatives=negatives)
    expected = 0.0
    for i, anchor in enumerate(embeddings[0]):
        exponentials = [torch.exp(cosine_similarity(anchor, candidate, dim=0) / TAU) for candidate in embeddings[1]]
        expected -= torch.log(exponentials[i] / sum(exponentials)) / 4
    assert len(embeddings[1]) == 4 + negatives
    assert equal(contrastive(embeddings, {}, SETTINGS), expected, embeddings)


def test_masked_without_a_mask_is_contrastive():
    embeddings = batch()
    masked = masked_contrastive(embeddings, {"guide": guide(embeddings, 1.0)}, SETTINGS | {"phi": 1.1})
    assert equal(masked, contrastive(embeddings, {}, SETTINGS), embeddings)


def test_masked_candidates_count_nothing_and_the_own_positive_always_counts():
    embeddings = batch()
    label = {"guide": guide(embeddings, 1.0)}
    assert masked_contrastive(embeddings, label, SETTINGS) == 0
    assert all(
        (gradient == 0).all() for gradient in gradients(masked_contrastive(embeddings, label, SETTINGS), embeddings)
    )
    label = {"guide": guide(embeddings)}
    label["guide"][:, 5] = 0.96
    label["guide"][0, 0] = 1.0  # its own positive
    kept = [embeddings[0], embeddings[1][[0, 1, 2, 3, 4, 6, 7]]]
    assert equal(masked_contrastive(embeddings, label, SETTINGS), contrastive(kept, {}, SETTINGS), embeddings)
    label["guide"][:, 5] = 0.95  # equal to phi: not masked
    assert equal(masked_contrastive(embeddings, label, SETTINGS), contrastive(embeddings, {}, SETTINGS), embeddings)


def test_the_released_mask_leaves_a_logit_of_zero_and_trains_binary_targets():
    embeddings = batch()
    label = {"guide": guide(embeddings)}
    label["guide"][:, 5] = 0.96
    logits, settings = logits_of(embeddings, 0.5), SETTINGS | {"tau": 0.5}  # no probability is rounded to 1
    q = torch.cat([logits[:, :5], torch.zeros(4, 1), logits[:, 6:]], dim=1).softmax(-1)
    target = torch.eye(4, 8)
    expected = -(target * q.log() + (1 - target) * (1 - q).log()).mean()
    assert equal(masked_contrastive_released(embeddings, label, settings), expected, embeddings)
    label["guide"].fill_(1)  # of the row's eight candidates only the positive has a logit; e^0 of the others remains
    q = (logits * target).softmax(-1)
    expected = -(target * q.log() + (1 - target) * (1 - q).log()).mean()
    assert torch.allclose(masked_contrastive_released(embeddings, label, settings), expected)


def test_decay_of_no_width_is_contrastive():
    embeddings = batch()
    label = {"guide": guide(embeddings, 0.9)}
    decayed = decayed_contrastive(embeddings, label, SETTINGS | {"sigma": 1e-3})
    assert equal(decayed, contrastive(embeddings, {}, SETTINGS), embeddings)
    wide = decayed_contrastive(embeddings, label, SETTINGS | {"sigma": 1e3})
    assert not torch.allclose(wide, decayed)


@pytest.mark.parametrize(
    ("own", "frozen", "decayed"),
    [
        (3.0, 3.0001, 0.0),  # the guide agrees: the negative has the logit 0
        (3.0, 2.0, 3.0),  # more similar than by the guide: unchanged
        (3.0, 3.17, 3.0 - 3.0 * math.exp(-0.5)),  # one sigma less
        (-2.0, -1.9999, 0.0),
    ],
)
def test_the_own_negative_decays_towards_logit_zero_near_the_guide(own: float, frozen: float, decayed: float):
    logits = torch.tensor([[5.0, 1, 0, 2], [1, 4, 3, 0]])
    logits[0, 2] = own
    label = {"guide": torch.full((2, 4), 0.5)}
    label["guide"][0, 2], label["guide"][1, 3] = frozen * TAU, -1  # the second row's stays, being above its guide's
    expected = logits.clone()
    expected[0, 2] = decayed
    loss = decayed_contrastive(from_logits(logits), label, SETTINGS)
    assert torch.allclose(loss, contrastive(from_logits(expected), {}, SETTINGS), atol=1e-4)


def test_no_gradient_flows_through_the_decay():
    embeddings = batch()
    logits = logits_of(embeddings).detach()
    frozen = logits[:, 4:].diagonal() + 0.1
    label = {"guide": pad((frozen * TAU).diag(), (4, 0)).requires_grad_()}
    weight = -logits[:, 4:].diagonal() * torch.exp(torch.tensor(-(0.1**2) / (2 * 0.17**2)))
    constant = logits_of(embeddings) + pad(weight.diag(), (4, 0))  # as if the weight were a constant
    loss = decayed_contrastive(embeddings, label, SETTINGS)
    assert equal(loss, -constant.log_softmax(-1).diagonal().mean(), embeddings)
    assert torch.autograd.grad(loss, label["guide"], allow_unused=True) == (None,)


def test_soft_with_scores_of_one_is_contrastive():
    embeddings = batch(negatives=2)
    label = {"score": torch.ones(4)}
    for objective in (soft_contrastive, smoothed_contrastive):
        assert equal(objective(embeddings, label, SETTINGS), contrastive(embeddings, {}, SETTINGS), embeddings)


def test_soft_weights_each_row_by_its_score():
    embeddings, score = batch(), torch.tensor([1.0, 0.5, 0.25, 0])
    rows = -logits_of(embeddings).log_softmax(-1).diagonal()
    expected = (rows[0] + rows[1] / 2 + rows[2] / 4) / 4
    assert equal(soft_contrastive(embeddings, {"score": score}, SETTINGS), expected, embeddings)


def test_smoothed_spreads_what_the_score_leaves_over_the_other_candidates():
    embeddings = batch(size=2)  # four candidates
    q = logits_of(embeddings).log_softmax(-1)
    weights = torch.tensor([[0.7, 0.1, 0.1, 0.1], [1 / 3, 0, 1 / 3, 1 / 3]])
    label = {"score": torch.tensor([0.7, 0.0])}
    assert equal(smoothed_contrastive(embeddings, label, SETTINGS), -(weights * q).sum() / 2, embeddings)
    alone = [embeddings[0][:1], embeddings[1][:1]]
    assert smoothed_contrastive(alone, {"score": torch.tensor([0.3])}, SETTINGS) == 0


def test_cosine_is_the_mean_squared_difference():
    embeddings = batch(negatives=0)
    score = torch.tensor([1.0, 0.5, 0.25, 0])
    cosines = torch.stack([cosine_similarity(*pair, dim=0) for pair in zip(*embeddings, strict=True)])
    expected = sum((c - s) ** 2 for c, s in zip(cosines, score, strict=True)) / 4
    assert equal(cosine(embeddings, {"score": score}, SETTINGS), expected, embeddings)


@pytest.mark.parametrize("seed", range(5))
def test_jensen_shannon_is_zero_for_equal_rows_alone_and_at_most_ln_2(seed: int):
    generator = torch.Generator().manual_seed(seed)
    one, other = (20 * torch.randn(5, 7, generator=generator) for _ in range(2))
    divergence = jensen_shannon(one, other)
    assert 1e-3 < divergence <= math.log(2)
    assert torch.allclose(divergence, jensen_shannon(other, one))
    p, q = one.double().softmax(-1), other.double().softmax(-1)
    middle = (p + q) / 2
    expected = ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2 / 5
    assert torch.allclose(divergence.double(), expected, atol=1e-6)
    assert jensen_shannon(one, one + 3).abs() < 1e-6  # the same distributions
    apart = torch.tensor([[1e4, 0.0]])
    assert torch.allclose(jensen_shannon(apart, -apart), torch.tensor(math.log(2)))


def test_jensen_shannon_pulls_two_distributions_together():
    one, other = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    one, other = one.requires_grad_(), other.requires_grad_()
    before = jensen_shannon(one, other)
    left, right = torch.autograd.grad(before, [one, other])
    assert jensen_shannon(one - left, other - right) < before


@pytest.mark.parametrize(("name", "loss"), [("list_mle", list_mle), ("list_net", list_net)])
def test_rank_distillation_adds_consistency_and_ranking(name: str, loss):
    embeddings = batch(negatives=0)
    label = {"guide": torch.rand(4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()}
    copy, settings = label["guide"].detach().clone(), SETTINGS | {"ranking_loss": name}

    def value(**weights: float) -> Tensor:
        return rank_distillation(embeddings, label, settings | weights)

    plain, logits = contrastive(embeddings, {}, SETTINGS), logits_of(embeddings)
    assert equal(value(beta=0, gamma=0), plain, embeddings)
    assert equal(value(beta=2, gamma=0) - plain, 2 * jensen_shannon(logits, logits.T), embeddings)
    target = (copy / TAU).fill_diagonal_(torch.inf)[None]
    assert equal(value(beta=0, gamma=3) - plain, 3 * loss(logits[None], target), embeddings)
    assert torch.equal(label["guide"], copy)


def test_rank_distillation_of_a_single_sentence_is_zero():
    embeddings = batch(size=1, negatives=0)
    for name in ("list_mle", "list_net"):
        loss = rank_distillation(embeddings, {"guide": torch.ones(1, 1)}, SETTINGS | {"ranking_loss": name})
        assert loss == 0


def test_the_schema_and_its_conditions_know_every_objective():
    assert dict(leaves())["base.objective"]["enum"] == ["none", *OBJECTIVES]
    assert {*cross_field.GUIDED} == {name for name, spec in OBJECTIVES.items() if spec.guided}
    assert {*cross_field.SCORED} == {name for name, spec in OBJECTIVES.items() if "score" in spec.required}
    assert {*cross_field.WITH_NEGATIVES} == {name for name, spec in OBJECTIVES.items() if "negative" in spec.required}
    assert {*cross_field.ON_SENTENCES} == {name for name, spec in OBJECTIVES.items() if spec.required == ("text",)}
