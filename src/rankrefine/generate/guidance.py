"""Guided next-token choice: the arithmetic of the controlled generation, as pure functions of logits."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def guided_logits(
    positive: torch.Tensor, negative: torch.Tensor | None, scale: float, plausibility: float
) -> torch.Tensor:
    """Unnormalised log-probabilities under guidance with the previous prompt as the negative prompt.

        log p(t) = log p(t | negative) + scale * (log p(t | positive) - log p(t | negative))      (up to a constant)

    It is classifier-free guidance (Sanchez et al. 2023, "Stay on topic with classifier-free guidance"), restricted to
    the tokens that the positive prompt finds plausible (Li et al. 2023, "Contrastive decoding"): elsewhere a small
    model's tail probabilities, divided by one another, would win. The normalisers of both softmaxes are constants of
    the row and cancel, so logits serve as well as log-probabilities.

    Args:
        positive: logits given the current prompt, [rows, vocabulary].
        negative: logits given the previous prompt, same shape; None decodes plainly.
        scale: guidance scale g; 1 is plain decoding.
        plausibility: nats below the best token of `positive` down to which tokens are allowed.

    Returns:
        float32 [rows, vocabulary], -inf for tokens that are not allowed.
    """
    positive = positive.float()
    floor = positive.amax(-1, keepdim=True) - plausibility
    guided = positive if negative is None else torch.lerp(negative.float(), positive, scale)
    return guided.masked_fill(positive < floor, -torch.inf)


def choose(logits: torch.Tensor, temperature: float, uniforms: torch.Tensor) -> torch.Tensor:
    """One token per row: the best at temperature 0, else the inverse of the cumulative distribution at `uniforms`.

    Args:
        logits: [rows, vocabulary], -inf for forbidden tokens.
        temperature: 0 is greedy.
        uniforms: float64 [rows] in [0, 1), one draw per row; not used when greedy.

    Returns:
        int64 [rows].
    """
    if temperature == 0:
        return logits.argmax(-1)
    probabilities = torch.softmax(logits / temperature, -1).double()
    cumulative = probabilities.cumsum(-1)
    target = (uniforms * cumulative[:, -1]).unsqueeze(-1)
    return torch.searchsorted(cumulative, target, right=True).squeeze(-1)


def draws(count: int, *key: object) -> np.ndarray:
    """`count` uniform numbers in [0, 1) that depend on `key` alone (Philox, a counter-based generator).

    Keyed by (run seed, seed id, round, attempt), a token's draw is independent of batch, shard and order.
    """
    digest = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "big"))).random(count)
