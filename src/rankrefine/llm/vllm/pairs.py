"""Matching the two rows of a pair in a batch, and choosing their token. Needs torch and numpy, not vLLM.

A guided completion is two vLLM requests, one for each prompt, and each is a row of every batch. The sampling
parameters of a row name its completion (`Part`). At every step `steer` finds the pairs whose rows are in step,
chooses one token for each, and masks all others in both rows. Any other row of a pair gets a mark, a token that
differs between the two roles. So two completions with equal tokens were in step from the first token to the last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from rankrefine.llm.guidance import Sampling, choose, draws

KEY = "guided_pair"  # of the sampling parameters' extra_args
FORCED = 1e30  # a logit that gives every other one probability 0, at any temperature in use

Role = Literal["prompt", "negative", "alone"]


@dataclass(frozen=True)
class Part:
    """Part of one row in a guided completion."""

    pair: str  # unique name of the completion, the same for both rows
    role: Role  # the prompt that the row continues; "alone" if there is no negative prompt
    scale: float  # guidance scale, see `guidance.guided_logits`
    sampling: Sampling
    mark: int  # token that the row emits when it is out of step; different for the two roles
    uniforms: np.ndarray  # one draw per token, float64 [sampling.max_new_tokens]


@dataclass(frozen=True)
class Row:
    """A row of the logits in one step."""

    part: Part
    place: int  # index of the row
    emitted: int  # number of tokens that it has emitted; this step chooses the next one


def describe(pair: str, role: Role, scale: float, sampling: Sampling, mark: int, key: Sequence[object]) -> dict:
    """Return a `Part` as extra_args of vLLM's SamplingParams: plain values, which can be sent to other processes.

    The draws are a function of `key`, see `guidance.draws`.
    """
    part = {"pair": pair, "role": role, "scale": float(scale), "mark": mark}
    return {KEY: part | {"sampling": asdict(sampling), "key": [str(value) for value in key]}}


def read(extra_args: dict[str, Any] | None) -> Part | None:
    """Return the `Part` of a request, the inverse of `describe`; None for a request outside of all pairs.

    Raises:
        ValueError: the arguments are not those of `describe`.
    """
    part = (extra_args or {}).get(KEY)
    if part is None:
        return None
    try:
        sampling = Sampling(**part["sampling"])
        if part["role"] not in get_args(Role):
            raise ValueError(f"no role {part['role']!r}")
        uniforms = draws(sampling.max_new_tokens, *part["key"])
        return Part(part["pair"], part["role"], float(part["scale"]), sampling, int(part["mark"]), uniforms)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"extra_args['{KEY}'] was not written by GuidedLLM: {error!r}") from error


def match(rows: Iterable[Row]) -> tuple[list[tuple[Row, Row | None]], list[Row]]:
    """Return the pairs in step, as (prompt, negative) or (alone, None), and the rows that are out of step."""
    waiting: dict[str, Row] = {}
    in_step: list[tuple[Row, Row | None]] = []
    out_of_step: list[Row] = []
    for row in rows:
        if row.part.role == "alone":
            in_step.append((row, None))
        elif (other := waiting.pop(row.part.pair, None)) is None:
            waiting[row.part.pair] = row
        elif other.emitted != row.emitted or {other.part.role, row.part.role} != {"prompt", "negative"}:
            out_of_step += [other, row]
        else:
            in_step.append((row, other) if row.part.role == "prompt" else (other, row))
    return in_step, [*out_of_step, *waiting.values()]


def steer(logits: Tensor, rows: Iterable[Row], last: Tensor) -> None:
    """Force the next token of every row that belongs to a completion. Changes `logits` in place.

    Args:
        logits: float32 [batch, vocabulary].
        last: last input token of each row of the logits, [batch]; compared from the second token on.
    """
    in_step, out_of_step = match(rows)
    groups: dict[tuple[Sampling, bool], list[tuple[Row, Row | None]]] = {}
    for pair in in_step:
        groups.setdefault((pair[0].part.sampling, pair[1] is None), []).append(pair)
    for (sampling, _), pairs in groups.items():
        places, tokens = _choose(logits, sampling, pairs, last)
        logits[places, tokens] = FORCED
    for row in out_of_step:
        logits[row.place, row.part.mark] = FORCED


def _choose(
    logits: Tensor, sampling: Sampling, pairs: list[tuple[Row, Row | None]], last: Tensor
) -> tuple[Tensor, Tensor]:
    """Choose the tokens of pairs that are either all guided or all alone; return places and tokens, int64 [rows]."""

    def tensor(values: Iterable[float], dtype: torch.dtype) -> Tensor:
        return torch.tensor(list(values), dtype=dtype, device=logits.device)

    firsts, negatives = zip(*pairs, strict=True)
    place = tensor((row.place for row in firsts), torch.long)
    uniforms = tensor((_draw(row) for row in firsts), torch.float64)
    scale = tensor((row.part.scale for row in firsts), torch.float32)
    if negatives[0] is None:
        return place, choose(logits[place], None, scale, sampling, uniforms)
    other = tensor((row.place for row in negatives), torch.long)
    chosen = choose(logits[place], logits[other], scale, sampling, uniforms)
    same = (last[place] == last[other]) | tensor((row.emitted == 0 for row in firsts), torch.bool)
    tokens = [
        torch.where(same, chosen, tensor((row.part.mark for row in part), torch.long)) for part in (firsts, negatives)
    ]
    return torch.cat([place, other]), torch.cat(tokens)


def _draw(row: Row) -> float:
    # vLLM also computes rows of a prompt that is still being read, or that has ended, and discards them
    return row.part.uniforms[min(max(row.emitted, 0), len(row.part.uniforms) - 1)]
