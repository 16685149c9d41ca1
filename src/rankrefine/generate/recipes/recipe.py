"""The interface of a recipe: what is asked of the language model for one seed sentence, and what is kept of it.

A recipe is a module of this package with a function `load(config) -> Recipe`. It is found by its name, the value of
`generate.recipe`. Everything above it (scheduler, blocks, journal, record) works with `Draft` and `Recipe` alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from rankrefine.llm.interface import Completion, Request, Sampling
from rankrefine.llm.prompts import Prompt

RUNNING, COMPLETE = "running", "complete"


@dataclass
class Draft:
    """The work on one seed sentence; a recipe adds what it collects.

    Attributes:
        row: row of the seed sentence in its block.
        text: the seed sentence.
        status: "running", "complete", or the reason why the draft was given up.
        attempt: retries of the current request.
        redraws: retries of all requests.
        tokens, near_ties, redone: sums over the completions, see `Completion`.
        accepted: completions that were accepted.
        rejected: rejected completions by reason.
        stops: completions by what ended them.
    """

    row: int
    seed_id: str
    text: str
    status: str = RUNNING
    attempt: int = 0
    redraws: int = 0
    tokens: int = 0
    near_ties: int = 0
    redone: int = 0
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)

    def count(self, completion: Completion) -> None:
        """Add a completion to the sums."""
        self.tokens += len(completion.tokens)
        self.near_ties += completion.near_ties
        self.redone += completion.redone
        self.stops[completion.stop] += 1

    def accept(self) -> None:
        """Accept the completion; the next request is a new one."""
        self.accepted += 1
        self.attempt = 0

    def reject(self, reason: str, redraws: int) -> None:
        """Reject the completion: retry the request, or give the draft up after `redraws` retries."""
        self.rejected[reason] += 1
        if self.attempt >= redraws:
            self.status = reason
        else:
            self.attempt += 1
            self.redraws += 1


class Recipe(Protocol):
    """Requests for one seed sentence, one after another, each of which may depend on earlier completions.

    Attributes:
        columns: fields of a finished row besides the common ones (see `schema`).
        prompts: templates of all prompts that requests have.
        sampling: choice of tokens.
    """

    columns: Sequence[pa.Field]
    prompts: Sequence[Prompt]
    sampling: Sampling

    def start(self, row: int, seed_id: str, text: str) -> Draft:
        """Return a new draft."""

    def request(self, draft: Draft) -> Request:
        """Return the next request of a running draft; its `id` is the draft's row."""

    def take(self, draft: Draft, completion: Completion) -> None:
        """Accept or reject the completion of the last request; set the status when the draft ends."""

    def finished(self, draft: Draft) -> dict[str, Any]:
        """Return the values of `columns` for an ended draft."""

    def describe(self) -> dict[str, Any]:
        """Return the fields of the shard's record that name prompts and sampling; JSON values."""


def schema(columns: Sequence[pa.Field]) -> pa.Schema:
    """Columns of a shard: those of a recipe among the common ones."""
    return pa.schema(
        [
            ("seed_id", pa.string()),
            ("source", pa.string()),
            *columns,
            ("status", pa.string()),  # "complete", or the reason why the draft was given up
            ("redraws", pa.int32()),
            ("tokens", pa.int32()),
        ]
    )
