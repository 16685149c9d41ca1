"""The rows of a batch that belong together, and the token that each pair emits. Needs torch and numpy, not vLLM.

A guided completion is two vLLM requests, a positive and a negative one, each a row of every batch. What a row is, it
says in its sampling parameters (`Part`). At every step `steer` finds the pairs whose rows are in step, chooses one
token for each, and leaves both rows no other; every other row of a pair gets a mark, one that differs between the two
roles. So two completions with equal tokens were in step from the first token to the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch

from rankrefine.llm.guidance import Sampling, choose, draws

KEY = "guided_pair"  # of the sampling parameters' extra_args
FORCED = 1e30  # a logit beside which every other one has probability 0, at any temperature that is in use

Role = Literal["positive", "negative", "alone"]


@dataclass(frozen=True)
class Part:
    """One row's part in a guided completion.

    Attributes:
        pair: the same for both rows, different for all others that ever run.
        role: "alone" is a completion without a negative prompt, which decodes plainly.
        scale: guidance scale, see `guidance.guided_logits`.
        mark: the token that the row emits when it is out of step; the two roles have different ones.
        uniforms: one draw for each token, float64 [sampling.max_new_tokens].
    """

    pair: str
    role: Role
    scale: float
    sampling: Sampling
    mark: int
    uniforms: np.ndarray


@dataclass(frozen=True)
class Row:
    """A row of the logits in one step.

    Attributes:
        place: its index.
        emitted: tokens that it has emitted; this step chooses the next one.
    """

    part: Part
    place: int
    emitted: int


def describe(pair: str, role: Role, scale: float, sampling: Sampling, mark: int, key: Sequence[object]) -> dict:
    """A `Part` as extra_args of vLLM's SamplingParams: plain values, which also reach other processes.

    Args:
        key: what the random draws depend on, see `guidance.draws`.
    """
    part = {"pair": pair, "role": role, "scale": float(scale), "mark": mark}
    return {KEY: part | {"sampling": asdict(sampling), "key": [str(value) for value in key]}}


def read(extra_args: dict[str, Any] | None) -> Part | None:
    """The inverse of `describe`; None for a request that has no part in a pair.

    Raises:
        ValueError: the arguments are not those of `describe`.
    """
    found = (extra_args or {}).get(KEY)
    if found is None:
        return None
    try:
        sampling = Sampling(**found["sampling"])
        if found["role"] not in ("positive", "negative", "alone"):
            raise ValueError(f"no role {found['role']!r}")
        uniforms = draws(sampling.max_new_tokens, *found["key"])
        return Part(found["pair"], found["role"], float(found["scale"]), sampling, int(found["mark"]), uniforms)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"extra_args['{KEY}'] is not what GuidedLLM writes: {error!r}") from error


def match(rows: Iterable[Row]) -> tuple[list[tuple[Row, Row | None]], list[Row]]:
    """Pairs in step, as (positive, negative) or (alone, None), and the rows that are not in step."""
    waiting: dict[str, Row] = {}
    together: list[tuple[Row, Row | None]] = []
    apart: list[Row] = []
    for row in rows:
        if row.part.role == "alone":
            together.append((row, None))
        elif (other := waiting.pop(row.part.pair, None)) is None:
            waiting[row.part.pair] = row
        elif other.emitted != row.emitted or {other.part.role, row.part.role} != {"positive", "negative"}:
            apart += [other, row]
        else:
            together.append((row, other) if row.part.role == "positive" else (other, row))
    return together, apart + list(waiting.values())


def steer(logits: torch.Tensor, rows: Iterable[Row], last: torch.Tensor) -> None:
    """Leave every row that has a part in a completion exactly one token. Changes `logits` in place.

    Args:
        logits: float32 [batch, vocabulary].
        last: the token that each row of the logits was fed last, [batch]; looked at from the second token on.
    """
    together, apart = match(rows)
    groups: dict[tuple[Sampling, bool], list[tuple[Row, Row | None]]] = {}
    for pair in together:
        groups.setdefault((pair[0].part.sampling, pair[1] is None), []).append(pair)
    for (sampling, _), pairs in groups.items():
        places, tokens = _choose(logits, sampling, pairs, last)
        logits[places, tokens] = FORCED
    for row in apart:
        logits[row.place, row.part.mark] = FORCED


def _choose(
    logits: torch.Tensor, sampling: Sampling, pairs: list[tuple[Row, Row | None]], last: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Places and tokens of the rows of pairs that are all guided, or all not: int64 [rows] each."""

    def tensor(values: Iterable[float], dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor(list(values), dtype=dtype, device=logits.device)

    positives, negatives = zip(*pairs, strict=True)
    place = tensor((row.place for row in positives), torch.long)
    uniforms = tensor((_draw(row) for row in positives), torch.float64)
    scale = tensor((row.part.scale for row in positives), torch.float32)
    if negatives[0] is None:
        return place, choose(logits[place], None, scale, sampling, uniforms)
    other = tensor((row.place for row in negatives), torch.long)
    chosen = choose(logits[place], logits[other], scale, sampling, uniforms)
    same = (last[place] == last[other]) | tensor((row.emitted == 0 for row in positives), torch.bool)
    tokens = [
        torch.where(same, chosen, tensor((row.part.mark for row in part), torch.long))
        for part in (positives, negatives)
    ]
    return torch.cat([place, other]), torch.cat(tokens)


def _draw(row: Row) -> float:
    # rows of a prompt that is still being read, and of one that ran on after its end, are computed and thrown away
    return row.part.uniforms[min(max(row.emitted, 0), len(row.part.uniforms) - 1)]
