"""What every engine offers: requests go in with `add`, completions come out of `step`."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Messages = tuple[dict[str, str], ...]
Stop = Literal["end", "newline", "length"]


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; see the configuration keys of the same names."""

    guidance_scale: float
    temperature: float
    plausibility: float
    max_new_tokens: int


@dataclass(frozen=True)
class Request:
    """One guided completion.

    Attributes:
        id: given back with the completion.
        positive: the current prompt, as chat messages.
        negative: the previous prompt, or None for plain decoding.
        key: what the random draws depend on.
    """

    id: Hashable
    positive: Messages
    negative: Messages | None
    key: tuple[object, ...]


@dataclass(frozen=True)
class Completion:
    """`text` is decoded from `tokens`, which do not hold the stop token; a newline ends the text ("newline")."""

    id: Hashable
    text: str
    tokens: tuple[int, ...]
    stop: Stop


class Engine(Protocol):
    """Completes requests in batches. `add` may be called between steps; a request is served from the next step on."""

    seats: int  # requests that run at the same time

    def add(self, request: Request) -> None:
        """Take in a request. At most `seats` may be unfinished."""

    def step(self) -> list[Completion]:
        """Advance every request by at least one token; return those that ended, in the order they were added."""

    def describe(self) -> dict[str, Any]:
        """What computes: device, dtype, threads."""
