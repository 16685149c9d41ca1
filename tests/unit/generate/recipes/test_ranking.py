"""Chain logic above any engine: rounds, negative prompts, re-draws, giving up."""

from __future__ import annotations

import pytest

from rankrefine.errors import UserError
from rankrefine.generate.recipes.ranking import Chain, Plan, run
from rankrefine.llm import prompts
from rankrefine.llm.interface import Completion, Request
from rankrefine.text.rewrite_rules import Limits

PROMPT = prompts.Prompt("test", "0" * 64, ({"role": "user", "content": "say {sentence}"},))

NO_LIMITS = Limits()


class Scripted:
    """A test engine: answers each request through a function, and keeps what it was asked."""

    def __init__(self, answer, seats: int = 2) -> None:
        self.answer, self.seats = answer, seats
        self.asked: list[Request] = []
        self._waiting: list[Request] = []

    def add(self, request: Request) -> None:
        self.asked.append(request)
        self._waiting.append(request)
        assert len(self._waiting) <= self.seats

    def step(self) -> list[Completion]:
        request = self._waiting.pop(0)
        text, stop = self.answer(request)
        return [Completion(request.id, text, tuple(text.split()), stop)]


def chains(count: int) -> list[Chain]:
    return [Chain(i, f"id{i}", [f"seed {i}"]) for i in range(count)]


def numbered(request: Request) -> tuple[str, str]:
    _, seed_id, place, _ = request.key
    return f"rewrite {place} of {seed_id}", "end"


def plan(
    rounds: int = 3,
    redraws: int = 2,
    guidance: tuple[float, ...] = (1.5,),
    limits: Limits = NO_LIMITS,
    prompt: prompts.Prompt = PROMPT,
) -> Plan:
    return Plan(prompt, rounds, guidance, redraws, limits, seed=5)


def test_every_chain_gets_its_rounds_and_the_previous_prompt_is_the_negative_one() -> None:
    engine = Scripted(numbered)
    done = list(run(chains(5), engine, plan()))
    assert sorted(chain.row for chain in done) == [0, 1, 2, 3, 4]
    for chain in done:
        assert chain.status == "complete"
        assert chain.sentences == [f"seed {chain.row}", *(f"rewrite {i} of id{chain.row}" for i in (1, 2, 3))]
    asked = [request for request in engine.asked if request.id == 3]
    assert [request.negative for request in asked] == [None, asked[0].positive, asked[1].positive]
    assert asked[2].positive == PROMPT.fill("rewrite 2 of id3")


def test_keys_do_not_depend_on_the_place_in_the_shard() -> None:
    engine = Scripted(numbered)
    list(run([Chain(9, "id0", ["seed 0"]), *chains(0)], engine, plan()))
    assert [request.key for request in engine.asked] == [(5, "id0", place, 0) for place in (1, 2, 3)]


def test_a_repeat_is_drawn_again_with_another_key() -> None:
    def answer(request: Request) -> tuple[str, str]:
        _, _, place, attempt = request.key
        return ("Seed 0!", "end") if place == 2 and attempt < 2 else (f"rewrite {place}", "end")

    engine = Scripted(answer)
    (chain,) = run(chains(1), engine, plan())
    assert chain.status == "complete"
    assert chain.sentences == ["seed 0", "rewrite 1", "rewrite 2", "rewrite 3"]
    assert chain.redraws == 2
    assert chain.refused == {"repeat": 2}
    assert [request.key[3] for request in engine.asked] == [0, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("text", "stop", "status"),
    [
        ("seed 0", "end", "repeat"),
        ("", "end", "empty"),
        ("a half", "length", "cut off"),
        ("a line", "newline", "newline"),
        ("I cannot rewrite this sentence.", "end", "refusal"),
        ("Rewritten sentence: a cat", "end", "marker"),
        ("good<|im_end|>", "end", "marker"),
    ],
)
def test_a_chain_that_stays_unusable_is_given_up_under_its_reason(text: str, stop: str, status: str) -> None:
    engine = Scripted(lambda request: (text, stop))
    (chain,) = run(chains(1), engine, plan(redraws=2))
    assert chain.status == status
    assert chain.sentences == ["seed 0"]
    assert len(engine.asked) == 3


def test_limits_make_a_rewrite_stuck() -> None:
    engine = Scripted(lambda request: ("one two three four five", "end"))
    (chain,) = run(chains(1), engine, plan(limits=Limits(max_words=4)))
    assert chain.status == "too long"
    (chain,) = run(chains(1), engine, plan(limits=Limits(max_words=5), rounds=1))
    assert chain.status == "complete"


def test_without_redraws_a_stuck_chain_is_given_up_at_once() -> None:
    engine = Scripted(lambda request: ("seed 0", "end"))
    (chain,) = run(chains(1), engine, plan(redraws=0))
    assert chain.status == "repeat"
    assert len(engine.asked) == 1


def test_guidance_may_differ_by_round_and_the_last_scale_holds_on() -> None:
    engine = Scripted(numbered)
    list(run(chains(1), engine, plan(rounds=4, guidance=(1.0, 1.5, 3.0))))
    assert [request.guidance_scale for request in engine.asked] == [1.0, 1.5, 3.0, 3.0]


def test_a_newline_is_the_proper_end_under_a_plain_prompt_alone() -> None:
    plain = prompts.Prompt("plain", "0" * 64, "Sentence: {sentence}\nRewrite:")
    newline = Scripted(lambda request: (numbered(request)[0], "newline"))
    (chain,) = run(chains(1), newline, plan(prompt=plain))
    assert chain.status == "complete"
    assert newline.asked[1].positive == "Sentence: rewrite 1 of id0\nRewrite:"
    (chain,) = run(chains(1), newline, plan())
    assert chain.status == "newline"


def test_what_happened_is_counted() -> None:
    def answer(request: Request) -> tuple[str, str]:
        _, _, place, attempt = request.key
        return ("a b c", "length") if place == 2 and attempt == 0 else (f"rewrite {place}", "end")

    (chain,) = run(chains(1), Scripted(answer), plan())
    assert chain.tokens == 3 + 3 * 2
    assert chain.stops == {"end": 3, "length": 1}
    assert chain.refused == {"cut off": 1}


def test_a_free_seat_is_taken_at_once() -> None:
    waiting_at_once = []

    class Watching(Scripted):
        def step(self):
            waiting_at_once.append(len(self._waiting))
            return super().step()

    list(run(chains(6), Watching(numbered, seats=3), plan(rounds=2)))
    assert waiting_at_once[:-3] == [3] * (len(waiting_at_once) - 3)


def test_a_rewrite_that_the_model_cannot_be_asked_about_ends_its_chain_alone() -> None:
    class Short(Scripted):
        def add(self, request: Request) -> None:
            if "rewrite 2 of id1" in request.positive[-1]["content"]:
                raise UserError("too long")
            super().add(request)

    done = {chain.row: chain for chain in run(chains(4), Short(numbered), plan())}
    assert [done[row].status for row in range(4)] == ["complete", "prompt", "complete", "complete"]
    assert done[1].sentences[-1] == "rewrite 2 of id1"


def test_a_seed_that_the_model_cannot_be_asked_about_is_told() -> None:
    class Refusing(Scripted):
        def add(self, request: Request) -> None:
            raise UserError("too long")

    with pytest.raises(UserError, match="too long"):
        list(run(chains(2), Refusing(numbered), plan()))
