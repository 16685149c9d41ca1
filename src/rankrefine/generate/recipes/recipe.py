"""The interface of a recipe, which makes the requests for one seed sentence and keeps their completions.

A recipe is a module of this package with a function `load(config) -> Recipe`, named like a value of `generate.recipe`;
`steps` and `genres` are those of the sections `examples` and `write`, and read a YAML file.
Scheduler, blocks, journal and record work with `Draft` and `Recipe` alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from rankrefine.llm.interface import Completion, Request, Sampling
from rankrefine.llm.prompts import Prompt

RUNNING, COMPLETE = "running", "complete"
UNPARSED = ("empty", "not JSON", "no sentence")  # reasons to reject a completion in which the parser found nothing


@dataclass
class Draft:
    """The work on one seed sentence; a recipe adds fields for its results."""

    row: int  # of the seed sentence in its block
    seed_id: str
    text: str  # the seed sentence
    status: str = RUNNING  # or COMPLETE, or the reason why the draft was given up
    attempt: int = 0  # retries of the current request
    redraws: int = 0  # retries of all requests
    tokens: int = 0  # of all completions, as are `near_ties` and `redone` (see `Completion`)
    near_ties: int = 0
    redone: int = 0
    accepted: int = 0  # number of accepted completions
    steps: int = 0  # of the engine since the current request began, each at least one token
    rejected: Counter[str] = field(default_factory=Counter)  # rejected completions by reason
    stops: Counter[str] = field(default_factory=Counter)  # all completions by `Completion.stop`
    parsed: Counter[tuple[str, bool]] = field(default_factory=Counter)  # by step; False: nothing found

    def count(self, completion: Completion) -> None:
        """Add a completion to the sums."""
        self.steps = 0
        self.tokens += len(completion.tokens)
        self.near_ties += completion.near_ties
        self.redone += completion.redone
        self.stops[completion.stop] += 1

    def accept(self, step: str = "the recipe") -> None:
        """Accept the completion; the next request is a new one."""
        self.accepted += 1
        self.attempt = 0
        self.parsed[step, True] += 1

    def reject(self, reason: str, redraws: int, step: str = "the recipe") -> None:
        """Reject the completion: retry the request, or give the draft up after `redraws` retries."""
        self.rejected[reason] += 1
        self.parsed[step, reason not in UNPARSED] += 1
        if self.attempt >= redraws:
            self.status = reason
        else:
            self.attempt += 1
            self.redraws += 1


class Recipe(Protocol):
    """Requests for one seed sentence, one after another, each of which may depend on earlier completions."""

    columns: Sequence[pa.Field]  # of a finished row besides the common ones (see `schema`)
    prompts: Sequence[Prompt]  # templates of all requests
    sampling: Sampling
    requests: int  # of a draft without retries

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
