"""Recipes in YAML: a file names steps, each of which asks the language model for an answer about the seed sentence.

A fixed number of exemplar sets is drawn once from each step's pool: every set is a prefix that the engine computes
once, whereas a draw for each sentence would compute a prefix for each sentence.
"""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pyarrow as pa

from rankrefine.generate.recipes import alter, recipe_file
from rankrefine.generate.recipes.recipe import COMPLETE, RUNNING, Draft
from rankrefine.llm.interface import Completion, Request, Sampling, Text
from rankrefine.llm.prompts import Prompt
from rankrefine.text.normal_form import text_hash
from rankrefine.text.rewrite_rules import Limits, clean, problem, same

NOT_JSON, LEFT_OVER, NOTHING_TO_REPLACE = "not JSON", "mask left over", "no name or number"
COPIED = "copy of an exemplar"


@dataclass
class Answers(Draft):
    """A draft with the accepted answer of each step, and the reasons why others were given up."""

    sentences: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A request to the language model."""

    prompts: tuple[Prompt, ...]  # each instruction with each exemplar set; one is drawn for a request
    input: str  # the last message, with placeholders
    rate: float | None  # share of masked words in `{masked}`
    against: str | None  # step whose prompt is the negative prompt
    guidance_scale: float
    parser: str
    shown: frozenset[str]  # answers of the exemplars, which small models copy; compared as `same`


@dataclass(frozen=True)
class Steps:
    """A recipe of several steps, see `Recipe`; each step has the same prompts for all seed sentences."""

    name: str
    sha256: str  # of the recipe's file
    examples: tuple[Mapping[str, str], ...]  # roles of each example: the step whose answer it is, or SEED
    steps: Mapping[str, Step | tuple[str, ...]]  # in their order; names, for a step that replaces names and numbers
    sampling: Sampling
    redraws: int  # retries of a rejected answer
    limits: Limits
    random_seed: int

    @property
    def columns(self) -> tuple[pa.Field, ...]:
        """The seed sentence, the answer of each step or null, and for each step the reason why it has none."""
        texts = (pa.field(name, pa.string()) for name in (recipe_file.SEED, *self.steps))
        return (*texts, pa.field("reasons", pa.list_(pa.string())))

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts of all steps."""
        return tuple(prompt for step in self.steps.values() if isinstance(step, Step) for prompt in step.prompts)

    @property
    def requests(self) -> int:
        """One for each step that asks for an answer."""
        return sum(isinstance(step, Step) for step in self.steps.values())

    def start(self, row: int, seed_id: str, text: str) -> Answers:
        """Return a draft with the answers of the steps that replace names and numbers."""
        draft = Answers(row, seed_id, text)
        for name, step in self.steps.items():
            if not isinstance(step, Step):
                if changed := alter.replace_names(text, step, self._random(draft, name)):
                    draft.sentences[name] = changed
                else:
                    draft.reasons[name] = NOTHING_TO_REPLACE
        return draft

    def request(self, draft: Answers) -> Request:
        """Ask for the answer of the next step, by a prompt that is drawn anew for each attempt."""
        name = self._next(draft)
        step = self.steps[name]
        key = (self.random_seed, draft.seed_id, name, draft.attempt)
        number = int.from_bytes(text_hash("\0".join(map(str, key[1:])), self.random_seed))
        negative = None
        if step.against is not None:
            negative = self._fill(draft, name, self.steps[step.against].prompts, number)
        prompt = self._fill(draft, name, step.prompts, number)
        return Request(draft.row, prompt, negative, step.guidance_scale, key, one_line=step.parser == "sentence")

    def take(self, draft: Answers, completion: Completion) -> None:
        """Accept an answer that is complete, within the limits, and no copy of the seed sentence or an answer.

        A step that is given up does not end the draft while an example can still be complete without it.
        """
        name = self._next(draft)
        answer, reason = self._parse(self.steps[name], completion, [draft.text, *draft.sentences.values()])
        if reason is None:
            draft.accept(name)
            draft.sentences[name] = answer
        else:
            draft.reject(reason, self.redraws, name)
            if draft.status == RUNNING:
                return
            draft.reasons[name] = reason
            draft.attempt = 0
        draft.status = self._status(draft)

    def finished(self, draft: Answers) -> dict[str, Any]:
        """Return the seed sentence, and for each step the answer or None, and the reason."""
        answers = {step: draft.sentences.get(step) for step in self.steps}
        return {recipe_file.SEED: draft.text, **answers, "reasons": [draft.reasons.get(step) for step in self.steps]}

    def describe(self) -> dict[str, Any]:
        """Return the recipe, the first prompt of each step as an example, the examples' roles, and the sampling."""
        shown = "\n\n".join(
            f"[{name}]\n{step.prompts[0].shown}" for name, step in self.steps.items() if isinstance(step, Step)
        )
        origin = {"prompt": self.name, "prompt_sha256": self.sha256, "prompt_text": shown}
        roles = {"steps": list(self.steps), "examples": [dict(roles) for roles in self.examples]}
        return {**origin, **roles, "sampling": {"redraws": self.redraws} | vars(self.sampling)}

    def _random(self, draft: Answers, *key: str) -> random.Random:
        return random.Random(text_hash("\0".join((draft.seed_id, *key)), self.random_seed))

    def _next(self, draft: Answers) -> str:
        return next(name for name in self.steps if name not in draft.sentences and name not in draft.reasons)

    def _fill(self, draft: Answers, name: str, prompts: tuple[Prompt, ...], number: int) -> Text:
        """Return one of the prompts, with the input of the step `name`."""
        step, values = self.steps[name], {recipe_file.SEED: draft.text, **draft.sentences}
        if step.rate is not None:
            values[recipe_file.MASKED] = alter.mask(draft.text, step.rate, self._random(draft, name))
        text = recipe_file.PLACEHOLDER.sub(lambda match: values[match[1]], step.input)
        return prompts[number % len(prompts)].fill(text)

    def _parse(self, step: Step, completion: Completion, earlier: list[str]) -> tuple[str, str | None]:
        """Return the answer of a completion, and the reason to reject it or None."""
        if completion.stop == "length":
            return "", "cut off"
        if step.parser == "json":
            answer = _json(completion.text)
            return answer or "", None if answer else NOT_JSON
        sentence = clean(completion.text)
        if step.rate is not None and "__" in sentence:
            return sentence, LEFT_OVER
        if same(sentence) in step.shown:
            return sentence, COPIED
        return sentence, problem(sentence, earlier, self.limits)

    def _status(self, draft: Answers) -> str:
        """Return RUNNING while steps are left and an example can be complete; give up steps without their input."""
        for name, step in self.steps.items():
            if name not in draft.sentences and name not in draft.reasons:
                missing = [each for each in recipe_file.PLACEHOLDER.findall(step.input) if each in draft.reasons]
                if missing:
                    draft.reasons[name] = f"no {missing[0]}"
        usable = [roles for roles in self.examples if not set(roles.values()) & set(draft.reasons)]
        if not usable:
            return next(f"{name}: {reason}" for name, reason in draft.reasons.items())
        done = len(draft.sentences) + len(draft.reasons) == len(self.steps)
        return COMPLETE if done else RUNNING


def load(config: dict[str, Any]) -> Steps:
    """Read the recipe from a configuration (`seed` and the section `examples`).

    Raises:
        UserError: there is no such recipe, or its file is not one.
    """
    settings = config["examples"]
    fields, digest = recipe_file.read(settings["recipe"])
    path = recipe_file.find(settings["recipe"])
    steps: dict[str, Step | tuple[str, ...]] = {}
    repeated: dict[str, list[str]] = {}  # names of a step's repeats, one for each rate of `mask`
    for name, step in fields["steps"].items():
        if "names" in step:
            steps[name] = tuple(step["names"])
            continue
        prompts = prompts_of(f"{path.stem}/{name}", digest, step, "examples.recipe")
        rates = {recipe_file.repeat(name, rate): rate for rate in step["mask"]} or {name: None}
        repeated[name] = list(rates)
        for repeat, rate in rates.items():
            details = (step["input"], rate, step["against"], step["guidance_scale"], step["parser"])
            steps[repeat] = Step(prompts, *details, frozenset(same(answer) for _, answer in step["exemplars"]))
    return Steps(
        name=path.stem,
        sha256=digest,
        examples=tuple(_examples(fields["columns"], repeated)),
        steps=steps,
        sampling=Sampling(**{key: settings[key] for key in Sampling.__dataclass_fields__ if key in settings}),
        redraws=settings["redraws"] if settings["temperature"] else 0,  # greedy decoding would only repeat itself
        limits=Limits(min_words=settings["min_words"], max_words=settings["max_words"]),
        random_seed=config["seed"],
    )


def _examples(columns: list[dict[str, str]], repeated: dict[str, list[str]]) -> list[dict[str, str]]:
    """Return the roles of all examples: with a step that is repeated, an example for each repeat."""
    expanded = []
    for roles in columns:
        names = (repeated.get(step, [step]) for step in roles.values())
        expanded += [dict(zip(roles, steps, strict=True)) for steps in product(*names)]
    return expanded


def prompts_of(name: str, sha256: str, step: dict[str, Any], key: str) -> tuple[Prompt, ...]:
    """Return a prompt for each instruction and each exemplar set of a step (`recipe_file.step_problem`)."""
    draw = random.Random(name)  # the sets are part of the recipe and do not depend on the run
    sets = [draw.sample(step["exemplars"], step["draw"]) for _ in range(step["sets"])]
    return tuple(
        Prompt(f"{name}/{number}", sha256, _chat(instruction, exemplars), key)
        for number, (instruction, exemplars) in enumerate(product(step["instructions"], sets))
    )


def _chat(instruction: str, exemplars: list[list[str]]) -> tuple[dict[str, str], ...]:
    turns = [("system", instruction)]
    for sentence, answer in exemplars:
        turns += [("user", sentence), ("assistant", answer)]
    return tuple({"role": role, "content": content} for role, content in [*turns, ("user", "{sentence}")])


def _json(text: str) -> str | None:
    """Return the first JSON object or list in a text, in one line; None without one."""
    for start in re.finditer(r"[{\[]", text):
        try:
            value, _ = json.JSONDecoder().raw_decode(text, start.start())
        except ValueError:
            continue
        return json.dumps(value, ensure_ascii=False) if value else None
    return None
