"""Guided choice of the next token, as pure functions of logits; used by all engines."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rankrefine.errors import UserError
from rankrefine.llm.interface import Sampling

NOT_FINITE = "The language model's logits are not finite; set generate.dtype to float32 or bfloat16."
NEAR = 1e-4  # a choice is a near-tie if a change of logits, draws or cuts by this much would change it


def guided_logits(logits: Tensor, negative: Tensor | None, scale: float | Tensor) -> Tensor:
    """Unnormalised log-probabilities under guidance away from a negative prompt.

        log p(t) = log p(t | negative) + scale * (log p(t | prompt) - log p(t | negative))      (up to a constant)

    Classifier-free guidance (Sanchez et al. 2023, "Stay on topic with classifier-free guidance"). The normalisers of
    both softmaxes are constants of the row, so logits can replace log-probabilities.

    Args:
        logits: given the prompt, [rows, tokens].
        negative: logits given the negative prompt, same shape; None decodes without guidance.
        scale: guidance scale g, one number or [rows]; 1 is plain decoding.

    Returns:
        float32 [rows, tokens].
    """
    logits = logits.float()
    if negative is None:
        return logits
    if isinstance(scale, Tensor):
        scale = scale.to(logits.dtype)[:, None]
    return torch.lerp(negative.float(), logits, scale)


class Few(NamedTuple):
    """Logits of the tokens that may be chosen, [rows, tokens]; those that may not have minus infinity."""

    logits: Tensor  # given the prompt
    negative: Tensor | None  # given the negative prompt
    tokens: Tensor | None  # ids, int64 [rows, tokens]; None if the columns are the whole vocabulary


def choose(
    logits: Tensor, negative: Tensor | None, scale: float | Tensor, sampling: Sampling, uniforms: Tensor
) -> Tensor:
    """Choose the next token of each row, under guidance.

    Only tokens that are plausible given the prompt are allowed (Li et al. 2023, "Contrastive decoding");
    otherwise guidance would amplify noise in the tail.

    Args:
        logits, negative, scale: see `guided_logits`; [rows, vocabulary].
        uniforms: float64 [rows] in [0, 1), one draw per row; unused when greedy.

    Returns:
        int64 [rows].

    Raises:
        UserError: the model's logits are not finite, which happens in float16.
    """
    few = select(logits, negative, sampling.plausibility)
    return tokens_of(few, pick(few, scale, sampling, uniforms))


def select(
    logits: Tensor, negative: Tensor | Callable[[Tensor | None], Tensor] | None, nats: float, margin: float = 0.0
) -> Few:
    """Select the tokens within `nats` (and a margin) of the best of each row, a few dozen out of many thousands.

    Args:
        negative: logits of the whole vocabulary, or a function that computes those of the tokens int64 [rows, tokens],
            or of the whole vocabulary if it gets None.
    """
    tokens, allowed = plausible(logits, nats + margin)
    if tokens is not None:
        logits = logits.gather(1, tokens)
    if allowed is not None:
        logits = logits.float().masked_fill(~allowed, -torch.inf)
    if callable(negative):
        negative = negative(tokens)
    elif negative is not None and tokens is not None:
        negative = negative.gather(1, tokens)
    return Few(logits, negative, tokens)


def tokens_of(few: Few, columns: Tensor) -> Tensor:
    """Token ids of the chosen columns [rows]."""
    return columns if few.tokens is None else few.tokens.gather(1, columns[:, None]).squeeze(1)


def pick(few: Few, scale: float | Tensor, sampling: Sampling, uniforms: Tensor) -> Tensor:
    """Choose a column of each row, under guidance; arguments, result and errors as those of `choose`."""
    scores = guided_logits(few.logits, few.negative, scale)
    if sampling.plausibility != float("inf"):
        floor = few.logits.amax(-1, keepdim=True).float() - sampling.plausibility
        scores = scores.masked_fill(few.logits < floor, -torch.inf)
    if not scores.amax(-1).isfinite().all():
        raise UserError(NOT_FINITE)
    return _draw(scores, sampling, uniforms)


def plausible(logits: Tensor, nats: float) -> tuple[Tensor | None, Tensor | None]:
    """Tokens of each row within `nats` of its best one, in ascending order.

    Returns:
        Token ids int64 [rows, most], padded with 0, and a mask of the valid ones, bool [rows, most]. If more than an
        eighth of the vocabulary is plausible, None and a mask [rows, vocabulary]; if nothing is cut, None and None.
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


def _draw(scores: Tensor, sampling: Sampling, uniforms: Tensor) -> Tensor:
    """Column per row: the best one at temperature 0, else the inverse cumulative distribution at `uniforms`."""
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


def near_ties(few: Few, scale: float | Tensor, sampling: Sampling, uniforms: Tensor) -> Tensor:
    """Rows whose choice rounding could change, bool [rows]; arguments as for `pick`, from `select` with margin `NEAR`.

    In float32 a request gives the same tokens in any batch, except for rounding. Rounding matters only if a draw or a
    cut moved by `NEAR` gives another token, or if the two best scores are closer than that. Guidance and a low
    temperature magnify rounding, and `NEAR` with it.
    """
    plain = pick(few, scale, sampling, uniforms)
    near = torch.zeros(len(plain), dtype=torch.bool, device=plain.device)
    scales = torch.as_tensor(scale)
    # maximum over all rows: rounding error of guided logits relative to that of the model's logits
    magnified = 1.0 if few.negative is None else max(1.0, float((scales.abs() + (scales - 1).abs()).max()))
    reach = NEAR * magnified / (sampling.temperature or 1)
    for cut in (-reach, reach):
        moved = replace(
            sampling,
            plausibility=max(sampling.plausibility + (NEAR if cut > 0 else -NEAR), 0.0),
            top_p=min(max(sampling.top_p + cut, 1e-12), 1.0) if sampling.top_p < 1 else 1.0,
            min_p=sampling.min_p * max(1 + cut, 0.0),
        )
        for shift in (-reach, reach):
            near |= plain != pick(few, scale, moved, (uniforms + shift).clamp(0, 1 - 1e-16))
    if sampling.temperature == 0:
        scores = guided_logits(few.logits, few.negative, scale)
        if sampling.plausibility != float("inf"):
            floor = few.logits.amax(-1, keepdim=True).float() - sampling.plausibility
            scores = scores.masked_fill(few.logits < floor, -torch.inf)
        best = scores.topk(min(2, scores.shape[1]), -1).values
        near |= best[:, 0] - best[:, 1:].amax(-1) < reach if best.shape[1] > 1 else False
    return near


def draws(count: int, *key: object) -> np.ndarray:
    """Return `count` uniform numbers in [0, 1) that depend on `key` alone (Philox, a counter-based generator).

    With the key (random seed, seed id, round, attempt), number i is the draw of token i, independent of batch, shard
    and order.
    """
    digest = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "big"))).random(count)
