"""The recipe of several steps: prompts and draws, what is accepted, and the rows of a shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rankrefine.generate.recipes import alter, steps
from rankrefine.generate.recipes.recipe import COMPLETE, RUNNING
from rankrefine.llm.interface import Completion

POOL = [[f"Sentence {number}.", f"Answer {number}."] for number in range(6)]
STEP = {"instructions": ["Rewrite.", "Paraphrase."], "exemplars": POOL, "draw": 3, "sets": 4}
SETTINGS = {"temperature": 1.0, "top_p": 0.9, "plausibility": 3.0, "max_new_tokens": 20, "redraws": 1}


ALL = {"anchor": "sentence", "positive": "same", "negative": "other"}


def recipe(folder: Path, random_seed: int = 1, fields: dict[str, Any] | None = None, **settings: Any) -> steps.Steps:
    """A recipe of two steps, or the one with `fields`."""
    fields = fields or {"steps": {"same": STEP, "other": STEP}, "columns": ALL}
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
    answers = {"sentence": "A cat sleeps.", "same": "The feline rests.", "other": "A dog barks."}
    assert made.finished(draft) == answers | {"reasons": [None, None]}


@pytest.mark.parametrize(
    ("text", "stop", "reason"),
    [
        ("A sentence without end", "length", "cut off"),
        ("One", "end", "too short"),
        ("One two three four five six seven eight nine ten.", "end", "too long"),
        ("I'm sorry, I cannot do that.", "end", "refusal"),
        ("Rewritten sentence: a cat.", "end", "marker"),
        ("", "end", "empty"),
        ("answer 3", "end", "copy of an exemplar"),
    ],
)
def test_an_example_is_given_up_after_its_retries(tmp_path: Path, text: str, stop: str, reason: str) -> None:
    made = recipe(tmp_path)
    draft = made.start(0, "s", "A cat sleeps.")
    made.take(draft, answer(text, stop))
    assert draft.status == RUNNING
    made.take(draft, answer(text, stop))
    assert draft.status == f"same: {reason}"
    assert made.finished(draft) == {
        "sentence": "A cat sleeps.",
        "same": None,
        "other": None,
        "reasons": [reason, None],
    }


def test_greedy_decoding_does_not_retry(tmp_path: Path) -> None:
    made = recipe(tmp_path, temperature=0.0)
    draft = made.start(0, "s", "A cat sleeps.")
    made.take(draft, answer(""))
    assert draft.status == "same: empty"


def test_a_step_that_is_given_up_does_not_end_a_draft_with_another_example(tmp_path: Path) -> None:
    columns = [{"anchor": "sentence", "positive": "same"}, {"anchor": "sentence", "positive": "other"}]
    made = recipe(tmp_path, fields={"steps": {"same": STEP, "other": STEP}, "columns": columns}, redraws=0)
    draft = made.start(0, "s", "A cat sleeps.")
    made.take(draft, answer(""))
    assert draft.status == RUNNING and made.request(draft).key[2:] == ("other", 0)
    made.take(draft, answer("The feline rests."))
    assert draft.status == COMPLETE and made.finished(draft)["reasons"] == ["empty", None]
    draft = made.start(0, "s", "A cat sleeps.")
    for _ in columns:
        made.take(draft, answer(""))
    assert draft.status == "same: empty"


def test_a_step_takes_the_answer_of_an_earlier_one_and_is_given_up_without_it(tmp_path: Path) -> None:
    last = STEP | {"input": "{sentence} / {same}"}
    columns = [{"anchor": "sentence", "positive": "third"}, {"anchor": "sentence", "positive": "last"}]
    made = recipe(
        tmp_path, fields={"steps": {"same": STEP, "last": last, "third": STEP}, "columns": columns}, redraws=0
    )
    draft = made.start(0, "s", "A cat {same} sleeps.")  # braces in a sentence are no placeholders
    made.take(draft, answer("The feline rests."))
    assert made.request(draft).prompt[-1]["content"] == "A cat {same} sleeps. / The feline rests."
    draft = made.start(0, "s", "A cat sleeps.")
    made.take(draft, answer(""))
    assert made.request(draft).key[2] == "third" and draft.reasons == {"same": "empty", "last": "no same"}


def test_a_step_against_another_has_its_prompt_as_the_negative_one(tmp_path: Path) -> None:
    one, other = (STEP | {"instructions": [text]} for text in ("Agree.", "Disagree."))
    contrast = {"same": one | {"against": "other", "guidance_scale": 2.0}, "other": other}
    made = recipe(tmp_path, fields={"steps": contrast, "columns": ALL})
    draft = made.start(0, "s", "A cat sleeps.")
    request = made.request(draft)
    assert (request.prompt[0]["content"], request.negative_prompt[0]["content"]) == ("Agree.", "Disagree.")
    assert request.guidance_scale == 2.0
    assert request.prompt[-1] == request.negative_prompt[-1] == {"role": "user", "content": "A cat sleeps."}
    made.take(draft, answer("The feline rests."))
    assert made.request(draft).negative_prompt is None


def test_a_step_with_mask_is_repeated_for_each_rate(tmp_path: Path) -> None:
    fill = STEP | {"input": "{masked}", "mask": [0.25, 0.75]}
    columns = [{"anchor": "sentence", "positive": "same"}, {"anchor": "sentence", "positive": "fill"}]
    made = recipe(tmp_path, fields={"steps": {"same": STEP, "fill": fill}, "columns": columns}, redraws=0)
    assert list(made.steps) == ["same", "fill_25", "fill_75"]
    assert [roles["positive"] for roles in made.examples] == ["same", "fill_25", "fill_75"]
    draft = made.start(0, "s", "A cat sleeps here.")
    made.take(draft, answer("The feline rests."))
    assert made.request(draft).prompt[-1]["content"].split().count(alter.MASK) == 1
    made.take(draft, answer("A ____ sleeps here."))
    assert draft.reasons == {"fill_25": "mask left over"}
    assert len(made.request(draft).prompt[-1]["content"].split()) <= 4
    made.take(draft, answer("A dog barks there."))
    assert draft.status == COMPLETE


def test_names_are_replaced_without_a_request(tmp_path: Path) -> None:
    fields = {"steps": {"same": STEP, "other": {"names": ["Ann", "Bob"]}}, "columns": ALL}
    made = recipe(tmp_path, fields=fields)
    draft = made.start(0, "s", "We saw Carl.")
    assert draft.sentences["other"] in ("We saw Ann.", "We saw Bob.")
    made.take(draft, answer("Carl was seen."))
    assert draft.status == COMPLETE
    without = made.start(0, "s", "A cat sleeps.")
    made.take(without, answer("The feline rests."))
    assert without.status == "other: no name or number"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('Sure: {"a": [1, "é"]} done', '{"a": [1, "é"]}'),
        ("{'a': 1}", None),
        ("[]", None),
        ("{broken [1, 2]", "[1, 2]"),
        ("nothing", None),
    ],
)
def test_json_is_found_in_an_answer(tmp_path: Path, text: str, value: str | None) -> None:
    extract = STEP | {"parser": "json"}
    last = STEP | {"input": "{extract}"}
    fields = {"steps": {"extract": extract, "same": last}, "columns": {"anchor": "sentence", "positive": "same"}}
    made = recipe(tmp_path, fields=fields, redraws=0)
    draft = made.start(0, "s", "A cat sleeps.")
    assert not made.request(draft).one_line
    made.take(draft, answer(text))
    assert draft.sentences.get("extract") == value
    assert draft.status == (RUNNING if value else "extract: not JSON")


def test_the_record_says_what_was_asked(tmp_path: Path) -> None:
    fields = recipe(tmp_path).describe()
    assert fields["prompt"] == "r" and len(fields["prompt_sha256"]) == 64
    assert fields["steps"] == ["same", "other"] and fields["examples"] == [ALL]
    assert fields["sampling"]["top_p"] == 0.9 and fields["sampling"]["redraws"] == 1
    assert "[same]\nsystem: Rewrite." in fields["prompt_text"]
