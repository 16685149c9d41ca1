"""Guided next-token choice: the formula, its special cases, and the draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from rankrefine.errors import UserError
from rankrefine.llm.guidance import NEAR, Sampling, choose, draws, guided_logits, near_ties, plausible, select

GREEDY = Sampling()


@pytest.fixture
def logits() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 50, generator=generator) * 3, torch.randn(6, 50, generator=generator) * 3


def test_it_is_the_published_formula_on_log_probabilities(logits) -> None:
    positive, negative = logits
    log_positive, log_negative = positive.log_softmax(-1), negative.log_softmax(-1)
    expected = log_negative + 1.7 * (log_positive - log_negative)
    found = guided_logits(positive, negative, 1.7)
    torch.testing.assert_close(found.log_softmax(-1), expected.log_softmax(-1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1.5, 3.0])
def test_equal_prompts_cancel_and_scale_one_is_plain_decoding(logits, scale: float) -> None:
    positive, negative = logits
    torch.testing.assert_close(guided_logits(positive, positive, scale), positive)
    torch.testing.assert_close(guided_logits(positive, negative, 1.0), positive)
    torch.testing.assert_close(guided_logits(positive, negative, 0.0), negative)
    assert torch.equal(guided_logits(positive, None, scale), positive)


CONTRASTS = {  # of z+ and z- with weight w: the guidance scale that gives it, and the factor of our temperature
    "(1 + w) z+ - w z-": (lambda plus, minus, w: (1 + w) * plus - w * minus, lambda w: 1 + w, lambda w: 1.0),
    "z+ - w z-": (lambda plus, minus, w: plus - w * minus, lambda w: 1 / (1 - w), lambda w: 1 / (1 - w)),
}


@pytest.mark.parametrize("weight", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("form", CONTRASTS)
def test_a_contrast_is_guidance_of_another_scale_and_temperature(logits, form: str, weight: float) -> None:
    contrast, scale, factor = CONTRASTS[form]
    positive, negative = logits
    for temperature in (0.7, 1.0):
        expected = (contrast(positive.double(), negative.double(), weight) / temperature).softmax(-1)
        found = guided_logits(positive, negative, scale(weight)) / (temperature * factor(weight))
        torch.testing.assert_close(found.softmax(-1).double(), expected, rtol=0, atol=1e-6)
        plain, guided = Sampling(temperature), Sampling(temperature * factor(weight))
        rows = torch.arange(6).repeat(500)
        uniforms = torch.tensor(draws(3000, form))
        drawn = choose(contrast(positive, negative, weight)[rows], None, 1.0, plain, uniforms)
        assert torch.equal(choose(positive[rows], negative[rows], scale(weight), guided, uniforms), drawn)


def test_rows_may_have_scales_of_their_own(logits) -> None:
    scales = torch.tensor([0.0, 1.0, 1.5, 2.0, 3.0, 0.5])
    found = guided_logits(*logits, scales)
    for row, scale in enumerate(scales.tolist()):
        assert torch.equal(found[row], guided_logits(*logits, scale)[row])


def test_low_precision_is_computed_in_float32(logits) -> None:
    positive, negative = (part.bfloat16() for part in logits)
    found = guided_logits(positive, negative, 1.5)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, guided_logits(positive.float(), negative.float(), 1.5))


@pytest.mark.parametrize("nats", [0.0, 2.0, 1e9])
def test_plausible_are_the_tokens_near_the_best_in_order(nats: float) -> None:
    logits = torch.randn(7, 400, generator=torch.Generator().manual_seed(1)) * 3
    expected = logits.log_softmax(-1) >= logits.log_softmax(-1).amax(-1, keepdim=True) - nats
    tokens, allowed = plausible(logits, nats)
    assert tokens is None if nats > 100 else tokens.shape[1] < 50
    for row in range(7):
        mine = allowed[row].nonzero().squeeze(1) if tokens is None else tokens[row][allowed[row]]
        assert mine.tolist() == expected[row].nonzero().squeeze(1).tolist()
        assert int(logits[row].argmax()) in mine.tolist()
    assert plausible(logits, float("inf")) == (None, None)


def test_few_candidates_choose_what_the_whole_vocabulary_would() -> None:
    generator = torch.Generator().manual_seed(2)
    positive, negative = (torch.randn(200, 500, generator=generator) * 3 for _ in range(2))
    uniforms = torch.rand(200, generator=generator, dtype=torch.float64)
    for sampling in (Sampling(0, plausibility=2.0), Sampling(0.8, 0.9, 0.05, 2.0)):
        few = choose(positive, negative, 1.5, sampling, uniforms)
        floor = positive.amax(-1, keepdim=True) - 2.0
        cut = positive.masked_fill(positive < floor, -torch.inf)
        scores = torch.where(cut.isfinite(), guided_logits(positive, negative, 1.5), -torch.inf)
        whole = choose(scores, None, 1.0, Sampling(sampling.temperature, sampling.top_p, sampling.min_p), uniforms)
        assert torch.equal(few, whole)
        assert not torch.equal(few, choose(positive, None, 1.0, sampling, uniforms))


def test_temperature_zero_takes_the_best(logits) -> None:
    assert torch.equal(choose(logits[0], None, 1.0, GREEDY, torch.zeros(6)), logits[0].argmax(-1))


def chances(sampling: Sampling, scores: list[float], count: int = 20_000) -> np.ndarray:
    """Frequency of each token."""
    uniforms = torch.tensor(draws(count, "distribution"))
    chosen = choose(torch.tensor([scores]).expand(count, len(scores)), None, 1.0, sampling, uniforms)
    return np.bincount(chosen.numpy(), minlength=len(scores))


def test_sampling_follows_the_distribution() -> None:
    scores = [1.0, 0.0, -torch.inf, 2.0]
    expected = torch.softmax(torch.tensor(scores).double() / 0.8, -1).numpy() * 20_000
    observed = chances(Sampling(temperature=0.8), scores)
    assert observed[2] == 0
    kept = [0, 1, 3]
    # fixed draws: this either always passes or never; a fair sampler fails it once in a thousand keys
    assert stats.chisquare(observed[kept], expected[kept]).pvalue > 0.001


def test_top_p_keeps_the_smallest_set_of_best_tokens_that_reaches_it() -> None:
    scores = np.log([0.5, 0.05, 0.3, 0.15]).tolist()
    for top_p, kept in [(0.4, [0]), (0.6, [0, 2]), (0.79, [0, 2]), (0.81, [0, 2, 3]), (1.0, [0, 1, 2, 3])]:
        observed = chances(Sampling(1.0, top_p=top_p), scores)
        assert observed.nonzero()[0].tolist() == kept
        expected = np.exp(scores)[kept] / np.exp(scores)[kept].sum() * 20_000
        assert len(kept) == 1 or stats.chisquare(observed[kept], expected).pvalue > 0.001


def test_min_p_cuts_tokens_below_a_share_of_the_best() -> None:
    scores = np.log([0.5, 0.05, 0.3, 0.15]).tolist()
    for min_p, kept in [(0.0, [0, 1, 2, 3]), (0.09, [0, 1, 2, 3]), (0.11, [0, 2, 3]), (0.31, [0, 2]), (0.9, [0])]:
        assert chances(Sampling(1.0, min_p=min_p), scores).nonzero()[0].tolist() == kept


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(1.0, 0.0)])
def test_extreme_draws_choose_an_allowed_token(uniform: float) -> None:
    scores = torch.full((1, 1000), -torch.inf)
    scores[0, 300:310] = 1.0
    chosen = choose(scores, None, 1.0, Sampling(temperature=1.0), torch.tensor([uniform], dtype=torch.float64))
    assert 300 <= int(chosen) < 310


def near(logits, negative, scale: float, sampling: Sampling, uniforms: torch.Tensor) -> torch.Tensor:
    return near_ties(select(logits, negative, sampling.plausibility, NEAR), scale, sampling, uniforms)


def test_near_ties_are_where_rounding_changes_the_choice() -> None:
    """Noise far below the threshold changes choices only in rows that were flagged, and few are."""
    generator = torch.Generator().manual_seed(3)
    positive, negative = (torch.randn(4000, 100, generator=generator) * 3 for _ in range(2))
    uniforms = torch.rand(4000, generator=generator, dtype=torch.float64)
    for sampling in (GREEDY, Sampling(plausibility=2.0), Sampling(0.8, 0.9, 0.02, 2.0), Sampling(0.8)):
        found = near(positive, negative, 1.5, sampling, uniforms)
        noise = torch.randn(positive.shape, generator=generator) * NEAR / 30
        moved = choose(positive + noise, negative - noise, 1.5, sampling, uniforms)
        changed = moved != choose(positive, negative, 1.5, sampling, uniforms)
        assert not (changed & ~found).any()
        assert found.float().mean() < 0.02


def test_a_tie_is_a_near_tie() -> None:
    tied = torch.tensor([[1.0, 3.0, 3.0], [1.0, 3.0, 2.0]])
    assert near(tied, None, 1.0, GREEDY, torch.zeros(2)).tolist() == [True, False]
    even = torch.tensor([[0.0, 0.0]])
    for uniform, expected in [(0.5, True), (0.4, False)]:
        drawn = torch.tensor([uniform], dtype=torch.float64)
        assert near(even, None, 1.0, Sampling(1.0), drawn).tolist() == [expected]


def test_a_token_that_alone_is_plausible_has_no_tie() -> None:
    alone = torch.tensor([[9.0, *[0.0] * 15]])
    few = select(alone, alone, 2.0, NEAR)
    assert few.logits.shape == (1, 1)
    assert not near_ties(few, 1.5, Sampling(plausibility=2.0), torch.zeros(1)).any()


def test_draws_depend_on_every_part_of_the_key_alone() -> None:
    base = draws(20, 2024, "abc", 1, 0)
    assert np.array_equal(base, draws(20, 2024, "abc", 1, 0))
    assert np.array_equal(base[:5], draws(5, 2024, "abc", 1, 0))
    for other in [(2025, "abc", 1, 0), (2024, "abd", 1, 0), (2024, "abc", 2, 0), (2024, "abc", 1, 1)]:
        assert not np.array_equal(base, draws(20, *other))
    assert ((base >= 0) & (base < 1)).all()


@pytest.mark.parametrize("plausibility", [3.0, float("inf")])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_not_finite_are_an_error(plausibility: float, value: float) -> None:
    broken = torch.zeros(2, 40)
    broken[1] = value
    with pytest.raises(UserError, match=r"logits are not finite; set generate\.dtype"):
        choose(broken, broken, 1.5, Sampling(1.0, plausibility=plausibility), torch.zeros(2))


def test_near_ties_of_a_very_small_top_p() -> None:
    scores = torch.tensor([[3.0, 1.0, 0.0]])
    assert not near(scores, None, 1.0, Sampling(1.0, top_p=1e-5), torch.tensor([0.5])).any()


def test_guidance_magnifies_rounding_and_what_counts_as_near() -> None:
    positive = torch.tensor([[1.0, 1.0 - 5e-4, 0.0]])
    assert near(positive, positive, 6.0, GREEDY, torch.zeros(1)).all()  # 5e-4 < 11 * 1e-4
    assert not near(positive, None, 1.0, GREEDY, torch.zeros(1)).any()
