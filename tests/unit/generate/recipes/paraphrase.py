"""One rewrite of each seed sentence, without guidance: the smallest useful recipe, for test_new_recipe.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from rankrefine.generate.recipes.recipe import COMPLETE, Draft
from rankrefine.llm import prompts
from rankrefine.llm.interface import Completion, Request, Sampling
from rankrefine.llm.prompts import Prompt
from rankrefine.text.rewrite_rules import clean, problem


@dataclass
class Attempt(Draft):
    """A draft with its one rewrite."""

    paraphrase: str | None = None


@dataclass(frozen=True)
class Paraphrase:
    """Asks once for one rewrite, which may have several lines."""

    columns: ClassVar[tuple[pa.Field, ...]] = (pa.field("paraphrase", pa.string()),)

    requests: ClassVar[int] = 1

    prompts: tuple[Prompt, ...]
    sampling: Sampling
    random_seed: int

    def start(self, row: int, seed_id: str, text: str) -> Attempt:
        """Return a draft without a rewrite."""
        return Attempt(row, seed_id, text)

    def request(self, draft: Attempt) -> Request:
        """Ask for the rewrite."""
        key = (self.random_seed, draft.seed_id, draft.attempt)
        return Request(draft.row, self.prompts[0].fill(draft.text), None, 1.0, key, one_line=False)

    def take(self, draft: Attempt, completion: Completion) -> None:
        """Accept the rewrite unless it breaks a rule; retry once."""
        rewrite = clean(completion.text)
        if reason := problem(rewrite, [draft.text]):
            draft.reject(reason, redraws=1)
        else:
            draft.accept()
            draft.paraphrase, draft.status = rewrite, COMPLETE

    def finished(self, draft: Attempt) -> dict[str, Any]:
        """Return the rewrite, or None."""
        return {"paraphrase": draft.paraphrase}

    def describe(self) -> dict[str, Any]:
        """Return prompt and sampling."""
        return {**self.prompts[0].describe(), "sampling": vars(self.sampling)}


def load(config: dict[str, Any]) -> Paraphrase:
    """Read the recipe from a configuration."""
    settings = config["generate"]
    sampling = Sampling(settings["temperature"], max_new_tokens=settings["max_new_tokens"])
    return Paraphrase((prompts.load(settings["prompt"]),), sampling, config["seed"])
