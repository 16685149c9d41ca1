"""Recipes in YAML: a file names steps, each of which asks the language model for one sentence about the seed sentence.

A fixed number of exemplar sets is drawn once from each step's pool: every set is a prefix that the engine computes
once, whereas a draw for each sentence would compute a prefix for each sentence.
"""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pyarrow as pa

from rankrefine.generate.recipes import recipe_file
from rankrefine.generate.recipes.recipe import COMPLETE, Draft
from rankrefine.llm.interface import Completion, Request, Sampling
from rankrefine.llm.prompts import Prompt
from rankrefine.text.normal_form import text_hash
from rankrefine.text.rewrite_rules import Limits, clean, problem


@dataclass
class Answers(Draft):
    """A draft with the accepted sentence of each step, in their order."""

    sentences: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Steps:
    """A recipe of several steps, see `Recipe`; each step has the same prompts for all seed sentences."""

    name: str
    sha256: str  # of the recipe's file
    roles: Mapping[str, str]  # anchor, positive, negative: the step whose sentence it is, or SEED
    steps: Mapping[str, tuple[Prompt, ...]]  # the instructions of each step, each with each of its exemplar sets
    sampling: Sampling
    redraws: int  # retries of a rejected sentence
    limits: Limits
    random_seed: int

    @property
    def columns(self) -> tuple[pa.Field, ...]:
        """The seed sentence, and the sentence of each step; null in a draft that was given up before it."""
        return tuple(pa.field(name, pa.string()) for name in (recipe_file.SEED, *self.steps))

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts of all steps."""
        return tuple(prompt for prompts in self.steps.values() for prompt in prompts)

    def start(self, row: int, seed_id: str, text: str) -> Answers:
        """Return a draft without answers."""
        return Answers(row, seed_id, text)

    def request(self, draft: Answers) -> Request:
        """Ask for the sentence of the next step, by a prompt that is drawn anew for each attempt."""
        step = next(step for step in self.steps if step not in draft.sentences)
        key = (self.random_seed, draft.seed_id, step, draft.attempt)
        number = int.from_bytes(text_hash("\0".join(map(str, key[1:])), self.random_seed))
        prompts = self.steps[step]
        return Request(draft.row, prompts[number % len(prompts)].fill(draft.text), None, 1.0, key)

    def take(self, draft: Answers, completion: Completion) -> None:
        """Accept a sentence that is complete, within the limits, and no copy of the seed sentence or an answer."""
        sentence = clean(completion.text)
        reason = "cut off" if completion.stop == "length" else None
        reason = reason or problem(sentence, [draft.text, *draft.sentences.values()], self.limits)
        if reason is not None:
            draft.reject(reason, self.redraws)
            return
        draft.accept()
        draft.sentences[next(step for step in self.steps if step not in draft.sentences)] = sentence
        if len(draft.sentences) == len(self.steps):
            draft.status = COMPLETE

    def finished(self, draft: Answers) -> dict[str, Any]:
        """Return the seed sentence, and the sentence of each step or None."""
        return {recipe_file.SEED: draft.text, **{step: draft.sentences.get(step) for step in self.steps}}

    def describe(self) -> dict[str, Any]:
        """Return the recipe, the first prompt of each step as an example, the roles, and the sampling."""
        shown = "\n\n".join(f"[{step}]\n{prompts[0].shown}" for step, prompts in self.steps.items())
        origin = {"prompt": self.name, "prompt_sha256": self.sha256, "prompt_text": shown}
        return {**origin, "roles": dict(self.roles), "sampling": {"redraws": self.redraws} | vars(self.sampling)}


def load(config: dict[str, Any]) -> Steps:
    """Read the recipe from a configuration (`seed` and the section `examples`).

    Raises:
        UserError: there is no such recipe, or its file is not one.
    """
    settings = config["examples"]
    path = recipe_file.find(settings["recipe"])
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    fields = recipe_file.parse(content, path)
    return Steps(
        name=path.stem,
        sha256=digest,
        roles=fields["columns"],
        steps={name: _prompts(f"{path.stem}/{name}", digest, step) for name, step in fields["steps"].items()},
        sampling=Sampling(**{key: settings[key] for key in Sampling.__dataclass_fields__ if key in settings}),
        redraws=settings["redraws"] if settings["temperature"] else 0,  # greedy decoding would only repeat itself
        limits=Limits(min_words=settings["min_words"], max_words=settings["max_words"]),
        random_seed=config["seed"],
    )


def _prompts(name: str, sha256: str, step: dict[str, Any]) -> tuple[Prompt, ...]:
    """Return a prompt for each instruction and each exemplar set of a step."""
    draw = random.Random(name)  # the sets are part of the recipe and do not depend on the run
    sets = [draw.sample(step["exemplars"], step["draw"]) for _ in range(step["sets"])]
    return tuple(
        Prompt(f"{name}/{number}", sha256, _chat(instruction, exemplars), "examples.recipe")
        for number, (instruction, exemplars) in enumerate(product(step["instructions"], sets))
    )


def _chat(instruction: str, exemplars: list[list[str]]) -> tuple[dict[str, str], ...]:
    turns = [("system", instruction)]
    for sentence, answer in exemplars:
        turns += [("user", sentence), ("assistant", answer)]
    return tuple({"role": role, "content": content} for role, content in [*turns, ("user", "{sentence}")])
