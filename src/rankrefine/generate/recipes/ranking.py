"""Ranking lists: chains of rewrites that drift away from the seed sentence.

A chain x0, x1, …, xN starts at a seed sentence; in round i the language model rewrites x[i-1] and is steered away
from its rewrite of x[i-2] (He et al. 2025; docs/method.md).
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from rankrefine.generate.recipes.recipe import COMPLETE, Draft
from rankrefine.llm import prompts
from rankrefine.llm.interface import Completion, Request, Sampling
from rankrefine.llm.prompts import Prompt
from rankrefine.ranking_lists.schema import SHARD
from rankrefine.text.rewrite_rules import Limits, clean, problem


@dataclass
class Chain(Draft):
    """A draft of one ranking list. `sentences` are the seed sentence and the accepted rewrites."""

    sentences: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.sentences = [self.text]


@dataclass(frozen=True)
class Ranking:
    """The recipe of ranking lists, see `Recipe`."""

    columns: ClassVar[tuple[pa.Field, ...]] = (SHARD.field("sentences"),)

    prompt: Prompt  # asks for a rewrite
    sampling: Sampling
    rounds: int  # rewrites per chain
    guidance_scale: float | list[float]  # for all rounds, or one per round; the last one also applies to later rounds
    redraws: int  # retries of a rejected rewrite
    limits: Limits  # reasons to reject a rewrite besides a repeat
    random_seed: int

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The one template."""
        return (self.prompt,)

    @property
    def requests(self) -> int:
        """One for each round."""
        return self.rounds

    def start(self, row: int, seed_id: str, text: str) -> Chain:
        """Return a chain that consists of its seed sentence."""
        return Chain(row, seed_id, text)

    def request(self, chain: Chain) -> Request:
        """Ask for the next rewrite. Round 1 has no previous prompt and decodes without guidance."""
        place = len(chain.sentences)  # round of the next rewrite, from 1
        prompt = self.prompt.fill(chain.sentences[-1])
        negative = self.prompt.fill(chain.sentences[-2]) if place > 1 else None
        scales = self.guidance_scale
        scale = scales[min(place, len(scales)) - 1] if isinstance(scales, list) else scales
        return Request(chain.row, prompt, negative, scale, (self.random_seed, chain.seed_id, place, chain.attempt))

    def take(self, chain: Chain, completion: Completion) -> None:
        """Accept a rewrite that is complete, new and within the limits; reject any other."""
        rewrite = clean(completion.text)
        reason = self._unfinished(completion) or problem(rewrite, chain.sentences, self.limits)
        if reason is not None:
            chain.reject(reason, self.redraws)
            return
        chain.accept()
        chain.sentences.append(rewrite)
        if len(chain.sentences) > self.rounds:
            chain.status = COMPLETE

    def _unfinished(self, completion: Completion) -> str | None:
        """Return why a completion is incomplete, or None. After a plain prompt a newline is the expected end."""
        if completion.stop == "newline" and self.prompt.chat:
            return "newline"
        return "cut off" if completion.stop == "length" else None

    def finished(self, chain: Chain) -> dict[str, Any]:
        """Return the sentences."""
        return {"sentences": chain.sentences}

    def describe(self) -> dict[str, Any]:
        """Return the fields that `consolidate` and the data set card read."""
        own = {name: getattr(self, name) for name in ("guidance_scale", "rounds", "redraws")}
        return {**self.prompt.describe(), "sampling": own | vars(self.sampling)}


def load(config: dict[str, Any]) -> Ranking:
    """Read the recipe from a configuration (`seed` and the section `generate`).

    Raises:
        UserError: the prompt template cannot be used.
    """
    settings = config["generate"]
    return Ranking(
        prompt=prompts.load(settings["prompt"]),
        sampling=Sampling(**{key: settings[key] for key in Sampling.__dataclass_fields__}),
        rounds=settings["rounds"],
        guidance_scale=settings["guidance_scale"],
        redraws=settings["redraws"] if settings["temperature"] else 0,  # greedy decoding would only repeat itself
        limits=Limits(**{key: settings[key] for key in Limits.__dataclass_fields__}),
        random_seed=config["seed"],
    )
