"""A deterministic word shuffler for tests of the workflow: no model, no torch."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from rankrefine.llm.interface import Completion, Request, Text

_FILLERS = ("again", "indeed", "today", "somehow", "perhaps", "there", "often", "still", "elsewhere", "then")


class FakeEngine:
    """Rewrites by swapping two neighbouring words and replacing one by a filler, chosen by a hash."""

    max_running = 16

    def __init__(self) -> None:
        self.reset()

    def reset(self, max_running: int | None = None) -> None:
        """Forget all requests."""
        self._waiting: list[Request] = []

    def split(self, count: int) -> list["FakeEngine"]:
        """Return this engine alone."""
        return [self]

    def add(self, request: Request) -> None:
        """Add a request."""
        self._waiting.append(request)

    def step(self) -> list[Completion]:
        """Complete all requests."""
        requests, self._waiting = self._waiting, []
        return [_complete(request) for request in requests]

    def score(self, prompts: Sequence[Text], labels: Sequence[str]) -> np.ndarray:
        """Return log-probabilities by a hash of prompt and label; the probabilities of each row add up to 1."""
        weights = np.array([[1.0 + _number(prompt, label) % 1000 for label in labels] for prompt in prompts])
        return np.log(weights / weights.sum(1, keepdims=True))

    def describe(self) -> dict[str, Any]:
        """Return constants: nothing is computed on any device."""
        return {"device": "none", "dtype": "none", "threads": 1}


def load(*_: Any) -> FakeEngine:
    """Return the engine; the arguments of `interface` are ignored."""
    return FakeEngine()


def _complete(request: Request) -> Completion:
    prompt = request.prompt
    words = (prompt if isinstance(prompt, str) else prompt[-1]["content"]).split()
    number = _number(*request.key)
    place = number % len(words)
    words[place - 1], words[place] = words[place], words[place - 1]
    words[number // 7 % len(words)] = _FILLERS[number // 11 % len(_FILLERS)] + str(number % 97)
    return Completion(request.id, " ".join(words), tuple(range(len(words))), "end")


def _number(*key: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big")
