"""The recipe of several steps: prompts and draws, what is accepted, and the rows of a shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rankrefine.generate.recipes import steps
from rankrefine.generate.recipes.recipe import COMPLETE, RUNNING
from rankrefine.llm.interface import Completion

POOL = [[f"Sentence {number}.", f"Answer {number}."] for number in range(6)]
STEP = {"instructions": ["Rewrite.", "Paraphrase."], "exemplars": POOL, "draw": 3, "sets": 4}
SETTINGS = {"temperature": 1.0, "top_p": 0.9, "plausibility": 3.0, "max_new_tokens": 20, "redraws": 1}


def recipe(folder: Path, random_seed: int = 1, **settings: Any) -> steps.Steps:
    """A recipe of two steps."""
    fields = {"steps": {"same": STEP, "other": STEP}, "columns": {"anchor": "sentence", "positive": "same"}}
    (folder / "r.yaml").write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    section = {"recipe": str(folder / "r.yaml"), "min_words": 2, "max_words": 9} | SETTINGS | settings
    return steps.load({"seed": random_seed, "examples": section})


def answer(text: str, stop: str = "end") -> Completion:
    """A completion of five tokens."""
    return Completion(0, text, (1, 2, 3, 4, 5), stop)


def test_prompts_are_each_instruction_with_each_set_of_exemplars(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    assert len(made.prompts) == len({str(prompt.template) for prompt in made.prompts}) == 2 * 2 * 4
    for prompt in made.prompts:
        system, *turns, last = prompt.template
        assert system["role"] == "system" and last == {"role": "user", "content": "{sentence}"}
        assert [turn["role"] for turn in turns] == ["user", "assistant"] * 3
        pairs = list(zip(*[iter(turn["content"] for turn in turns)] * 2, strict=True))
        assert len(set(pairs)) == 3 and all(list(pair) in POOL for pair in pairs)


def test_the_sets_belong_to_the_recipe_and_the_draws_to_the_seed_sentence(tmp_path: Path) -> None:
    one, two = recipe(tmp_path, 1), recipe(tmp_path, 2)
    assert one.prompts == two.prompts

    def requests(made: steps.Steps) -> list:
        return [made.request(made.start(0, f"{number:016x}", "A sentence.")) for number in range(40)]

    assert requests(one) == requests(one)
    assert requests(one) != requests(two)
    assert len({str(request.prompt) for request in requests(one)}) == 2 * 4  # each prompt of the first step is drawn


def test_a_retry_draws_again_and_has_another_key(tmp_path: Path) -> None:
    made = recipe(tmp_path, redraws=20)
    draft, prompts, keys = made.start(0, "s", "A sentence."), set(), set()
    for _ in range(10):
        request = made.request(draft)
        prompts.add(str(request.prompt))
        keys.add(request.key)
        made.take(draft, answer("A sentence!"))
    assert draft.status == RUNNING and draft.rejected == {"repeat": 10}
    assert len(keys) == 10 and len(prompts) > 1


def test_steps_follow_each_other_and_none_repeats_the_seed_sentence_or_an_answer(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    draft = made.start(0, "s", "A cat sleeps.")
    for text, stop in [("a cat  sleeps", "end"), ("The feline rests.", "end"), ("the feline rests", "end")]:
        made.take(draft, answer(text, stop))
        assert draft.status == RUNNING
    made.take(draft, answer("A dog barks.", "end"))
    assert draft.status == COMPLETE and draft.rejected == {"repeat": 2}
    assert made.finished(draft) == {"sentence": "A cat sleeps.", "same": "The feline rests.", "other": "A dog barks."}


@pytest.mark.parametrize(
    ("text", "stop", "reason"),
    [
        ("A sentence without end", "length", "cut off"),
        ("One", "end", "too short"),
        ("One two three four five six seven eight nine ten.", "end", "too long"),
        ("I'm sorry, I cannot do that.", "end", "refusal"),
        ("Rewritten sentence: a cat.", "end", "marker"),
        ("", "end", "empty"),
    ],
)
def test_an_example_is_given_up_after_its_retries(tmp_path: Path, text: str, stop: str, reason: str) -> None:
    made = recipe(tmp_path)
    draft = made.start(0, "s", "A cat sleeps.")
    made.take(draft, answer(text, stop))
    assert draft.status == RUNNING
    made.take(draft, answer(text, stop))
    assert draft.status == reason
    assert made.finished(draft) == {"sentence": "A cat sleeps.", "same": None, "other": None}


def test_greedy_decoding_does_not_retry(tmp_path: Path) -> None:
    made = recipe(tmp_path, temperature=0.0)
    draft = made.start(0, "s", "A cat sleeps.")
    made.take(draft, answer(""))
    assert draft.status == "empty"


def test_the_record_says_what_was_asked(tmp_path: Path) -> None:
    fields = recipe(tmp_path).describe()
    assert fields["prompt"] == "r" and len(fields["prompt_sha256"]) == 64
    assert fields["roles"] == {"anchor": "sentence", "positive": "same"}
    assert fields["sampling"]["top_p"] == 0.9 and fields["sampling"]["redraws"] == 1
    assert "[same]\nsystem: Rewrite." in fields["prompt_text"]
