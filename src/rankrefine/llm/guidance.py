"""Guided next-token choice: the arithmetic of the controlled generation, as pure functions of logits.

Every engine chooses its tokens here.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import torch

from rankrefine.errors import UserError
from rankrefine.llm.interface import Sampling

NEAR = 1e-4  # two choices are a near-tie when logits, draws or cuts this close together separate them


def guided_logits(positive: torch.Tensor, negative: torch.Tensor | None, scale: float | torch.Tensor) -> torch.Tensor:
    """Unnormalised log-probabilities under guidance with the previous prompt as the negative prompt.

        log p(t) = log p(t | negative) + scale * (log p(t | positive) - log p(t | negative))      (up to a constant)

    It is classifier-free guidance (Sanchez et al. 2023, "Stay on topic with classifier-free guidance"). The
    normalisers of both softmaxes are constants of the row and cancel, so logits serve as well as log-probabilities.

    Args:
        positive: logits given the current prompt, [rows, tokens].
        negative: logits given the previous prompt, same shape; None decodes plainly.
        scale: guidance scale g, one number or [rows]; 1 is plain decoding.

    Returns:
        float32 [rows, tokens].
    """
    positive = positive.float()
    if negative is None:
        return positive
    if isinstance(scale, torch.Tensor):
        scale = scale.to(positive.dtype)[:, None]
    return torch.lerp(negative.float(), positive, scale)


def choose(
    positive: torch.Tensor,
    negative: torch.Tensor | None,
    scale: float | torch.Tensor,
    sampling: Sampling,
    uniforms: torch.Tensor,
) -> torch.Tensor:
    """The next token of each row, under guidance.

    Only tokens that the positive prompt finds plausible are looked at (Li et al. 2023, "Contrastive decoding"):
    elsewhere a small model's tail probabilities, divided by one another, would win.

    Args:
        positive, negative, scale: see `guided_logits`; [rows, vocabulary].
        uniforms: float64 [rows] in [0, 1), one draw per row; not used when greedy.

    Returns:
        int64 [rows].

    Raises:
        UserError: the model's logits are not finite, as happens in float16.
    """
    tokens, allowed = plausible(positive, sampling.plausibility)
    if tokens is not None:  # a few dozen of a vocabulary of many thousands
        positive = positive.gather(1, tokens)
        negative = negative.gather(1, tokens) if negative is not None else None
    scores = guided_logits(positive, negative, scale)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    if not scores.amax(-1).isfinite().all():
        raise UserError(
            "The language model's logits are not finite numbers; set generate.dtype to float32 or bfloat16."
        )
    chosen = _draw(scores, sampling, uniforms)
    return chosen if tokens is None else tokens.gather(1, chosen[:, None]).squeeze(1)


def plausible(logits: torch.Tensor, nats: float) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """The tokens of each row within `nats` of its best, in ascending order.

    Returns:
        Token ids int64 [rows, most], padded with 0, and which of them count, bool [rows, most]. The ids are None where
        they are too many to be worth collecting, the mask then being [rows, vocabulary]; both None if nothing is cut.
    """
    if nats == float("inf"):
        return None, None
    mask = logits >= logits.amax(-1, keepdim=True).float() - nats
    rows, columns = mask.nonzero(as_tuple=True)
    counts = rows.bincount(minlength=len(logits))
    most = max(1, int(counts.max()))
    if most > logits.shape[1] // 8:
        return None, mask
    place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    tokens = torch.zeros(len(logits), most, dtype=torch.long, device=logits.device)
    tokens[rows, place] = columns
    return tokens, torch.arange(most, device=rows.device) < counts[:, None]


def _draw(scores: torch.Tensor, sampling: Sampling, uniforms: torch.Tensor) -> torch.Tensor:
    """Column per row: the best at temperature 0, else the inverse of the cumulative distribution at `uniforms`."""
    if sampling.temperature == 0:
        return scores.argmax(-1)
    scaled = scores / sampling.temperature
    if sampling.min_p > 0:
        scaled = scaled.masked_fill(scaled < scaled.amax(-1, keepdim=True) + np.log(sampling.min_p), -torch.inf)
    probabilities = torch.softmax(scaled, -1).double()
    if sampling.top_p < 1:
        falling, order = probabilities.sort(dim=-1, descending=True, stable=True)
        beyond = falling.cumsum(-1) - falling >= sampling.top_p
        probabilities = probabilities.masked_fill(beyond.gather(1, order.argsort(-1)), 0)
    cumulative = probabilities.cumsum(-1)
    target = (uniforms.to(cumulative.device) * cumulative[:, -1]).unsqueeze(-1)
    return torch.searchsorted(cumulative, target, right=True).squeeze(-1)


def near_ties(
    positive: torch.Tensor,
    negative: torch.Tensor | None,
    scale: float | torch.Tensor,
    sampling: Sampling,
    uniforms: torch.Tensor,
) -> torch.Tensor:
    """Rows whose choice rounding could change: arguments as for `choose`, bool [rows].

    In float32 the same request gives the same tokens in any batch but for rounding, and rounding matters only here:
    where a draw or a cut moved by `NEAR` gives another token, or the two best scores are closer than that. Guidance
    and a low temperature magnify rounding, and `NEAR` with it.
    """
    plain = choose(positive, negative, scale, sampling, uniforms)
    near = torch.zeros(len(plain), dtype=torch.bool, device=plain.device)
    reach = NEAR * _magnified(negative, scale) / (sampling.temperature or 1)
    for cut in (-reach, reach):
        moved = replace(
            sampling,
            plausibility=max(sampling.plausibility + (NEAR if cut > 0 else -NEAR), 0.0),
            top_p=min(max(sampling.top_p + cut, 1e-12), 1.0) if sampling.top_p < 1 else 1.0,
            min_p=sampling.min_p * max(1 + cut, 0.0),
        )
        for shift in (-reach, reach):
            near |= plain != choose(positive, negative, scale, moved, (uniforms + shift).clamp(0, 1 - 1e-16))
    if sampling.temperature == 0:
        scores = guided_logits(positive, negative, scale)
        if sampling.plausibility != float("inf"):
            floor = positive.amax(-1, keepdim=True).float() - sampling.plausibility
            scores = scores.masked_fill(positive < floor, -torch.inf)
        best = scores.topk(2, -1).values
        near |= best[:, 0] - best[:, 1] < reach
    return near


def _magnified(negative: torch.Tensor | None, scale: float | torch.Tensor) -> float:
    """How much larger the rounding of the guided logits may be than that of the model's, in the worst row."""
    if negative is None:
        return 1.0
    scale = torch.as_tensor(scale)
    return max(1.0, float((scale.abs() + (scale - 1).abs()).max()))


def draws(count: int, *key: object) -> np.ndarray:
    """`count` uniform numbers in [0, 1) that depend on `key` alone (Philox, a counter-based generator).

    Keyed by (run seed, seed id, round, attempt), number i is the draw of token i: independent of batch, shard, order.
    """
    digest = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "big"))).random(count)
