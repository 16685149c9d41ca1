"""What every engine offers: requests go in with `add`, completions come out of `step`.

An engine module has a function

    load(folder, prompt, sampling, chains, settings, threads) -> Engine

with the model's folder (None for the fake engine), the `Prompt` that all requests are made of, the `Sampling`, the
most chains that will run at once, the `generate` section of the configuration, and the processor threads to use (None:
all). It raises `UserError` when the model cannot be used.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Text = tuple[dict[str, str], ...] | str  # a prompt: chat messages, or plain text
Stop = Literal["end", "newline", "length"]


class OutOfMemory(Exception):
    """An engine's memory or token budget does not do for the requests that it runs together."""


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen from guided logits.

    Attributes:
        temperature: 0 is greedy.
        top_p: the smallest set of best tokens with this much probability is kept; 1 keeps all.
        min_p: tokens with less than this share of the best one's probability are cut; 0 cuts none.
        plausibility: nats below the best token of the current prompt down to which tokens are allowed.
        max_new_tokens: tokens at most per completion.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    min_p: float = 0.0
    plausibility: float = float("inf")
    max_new_tokens: int = 100


@dataclass(frozen=True)
class Request:
    """One guided completion.

    Attributes:
        id: given back with the completion.
        positive: the current prompt.
        negative: the previous prompt, or None for plain decoding.
        guidance_scale: see `guidance.guided_logits`.
        key: what the random draws depend on.
    """

    id: Hashable
    positive: Text
    negative: Text | None
    guidance_scale: float
    key: tuple[object, ...]


@dataclass(frozen=True)
class Completion:
    """`text` is decoded from `tokens`, which do not hold the stop token; a newline ends the text ("newline").

    Attributes:
        near_ties: tokens whose choice rounding could have changed (counted in float32 only).
        redone: how often the engine had to start the request again.
    """

    id: Hashable
    text: str
    tokens: tuple[int, ...]
    stop: Stop
    near_ties: int = 0
    redone: int = 0


class Engine(Protocol):
    """Completes requests in batches. `add` may be called between steps; a request is served from the next step on."""

    seats: int  # requests that run at the same time

    def reset(self, seats: int | None = None) -> None:
        """Forget all requests and everything kept of earlier ones, so that what follows does not depend on the past;
        then run `seats` requests at the same time.
        """

    def add(self, request: Request) -> None:
        """Take in a request. At most `seats` may be unfinished."""

    def step(self) -> list[Completion]:
        """Advance every request by at least one token; return those that ended, in a reproducible order.

        Raises:
            OutOfMemory: fewer seats may do; only `reset` is allowed then.
        """

    def describe(self) -> dict[str, Any]:
        """What computes: device, dtype, threads, and what else decides the bytes of the results."""
