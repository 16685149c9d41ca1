"""The interface of an engine: `add` takes requests, `step` returns completions; `score` rates answers of one token.

An engine is a package `llm/NAME/`. Its `__init__.py` defines `FACTS` (see `facts`); its module `engine` has a function

    load(folder, prompts, sampling, max_running, settings, threads) -> Engine

Args:
    folder: the model's folder; None for an engine that needs no model.
    prompts: templates (`Prompt`) of all prompts that requests may have.
    sampling: choice of tokens, the same for all requests.
    max_running: maximum number of requests that will run at the same time.
    settings: the section `generate` of the configuration.
    threads: CPU threads to use; None uses all.

`load` raises `UserError` if the model cannot be used.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np

Text = tuple[dict[str, str], ...] | str  # a prompt: chat messages, or plain text
Stop = Literal["end", "newline", "length"]


class OutOfMemory(Exception):
    """The engine's memory or token budget is too small for the requests that run at the same time."""


@dataclass(frozen=True)
class Sampling:
    """Settings for choosing a token from guided logits."""

    temperature: float = 0.0  # 0 is greedy
    top_p: float = 1.0  # keep the smallest set of best tokens with this much probability; 1 keeps all
    min_p: float = 0.0  # cut tokens with less than this share of the best one's probability; 0 cuts none
    plausibility: float = float("inf")  # allow tokens down to this many nats below the best token of the prompt
    max_new_tokens: int = 100  # maximum number of tokens per completion


@dataclass(frozen=True)
class Request:
    """One guided completion to compute."""

    id: Hashable  # returned with the completion
    prompt: Text
    negative_prompt: Text | None  # to steer away from; None for plain decoding
    guidance_scale: float  # see `guidance.guided_logits`
    key: tuple[object, ...]  # of the random draws, see `guidance.draws`
    one_line: bool = True  # a newline ends the text


@dataclass(frozen=True)
class Completion:
    """A completed request."""

    id: Hashable
    text: str
    tokens: tuple[int, ...]  # without the token that ended the text
    stop: Stop  # end-of-text token, newline (in a request with `one_line`), or `max_new_tokens`
    near_ties: int = 0  # tokens whose choice rounding could have changed, counted in float32 only
    redone: int = 0  # number of restarts of the request by the engine


class Engine(Protocol):
    """Completes requests in batches. `add` may be called between steps; a request runs from the next step on."""

    max_running: int  # requests that run at the same time

    def reset(self, max_running: int | None = None) -> None:
        """Forget all requests and every cache of earlier ones, so that later results do not depend on them; then run
        at most `max_running` requests at the same time.
        """

    def split(self, count: int) -> list[Engine]:
        """Return engines that may run at the same time, in threads of their own, at most `count`; they take the place
        of this one. `[self]` if the engine runs one batch at a time. The number is a function of `count` and of what
        `describe` says alone.
        """

    def add(self, request: Request) -> None:
        """Add a request. At most `max_running` may be unfinished."""

    def step(self) -> list[Completion]:
        """Advance every request by at least one token; return the completed ones, in a reproducible order.

        Raises:
            OutOfMemory: a smaller `max_running` may be enough; only `reset` may be called next.
        """

    def score(self, prompts: Sequence[Text], labels: Sequence[str]) -> np.ndarray:
        """Natural logarithm of the probability that an answer begins with each label, float [prompts, labels].

        Nothing is sampled. The probabilities are over the whole vocabulary, so those of a row may add up to less than
        1 (see `scoring.expected`). May be called only while no request is running.

        Raises:
            UserError: a label is not one token after a prompt, or a prompt is too long.
            OutOfMemory: as in `step`.
        """

    def describe(self) -> dict[str, Any]:
        """Device, dtype, threads, `max_running`, and whatever else determines the output."""
