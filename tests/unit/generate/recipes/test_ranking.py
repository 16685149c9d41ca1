"""Ranking lists above any engine: rounds, negative prompts, retries, giving up."""

from __future__ import annotations

import pytest

from rankrefine.config import load as config
from rankrefine.errors import UserError
from rankrefine.generate import scheduler
from rankrefine.generate.recipes import recipe
from rankrefine.generate.recipes.ranking import Chain, Ranking, load
from rankrefine.llm import prompts
from rankrefine.llm.interface import Completion, Request, Sampling
from rankrefine.ranking_lists.schema import SHARD
from rankrefine.text.rewrite_rules import Limits

PROMPT = prompts.Prompt("test", "0" * 64, ({"role": "user", "content": "say {sentence}"},))

NO_LIMITS = Limits()


class Scripted:
    """Test engine that answers each request with a function and keeps the requests."""

    def __init__(self, answer, max_running: int = 2) -> None:
        self.answer, self.max_running = answer, max_running
        self.asked: list[Request] = []
        self._waiting: list[Request] = []

    def add(self, request: Request) -> None:
        self.asked.append(request)
        self._waiting.append(request)
        assert len(self._waiting) <= self.max_running

    def step(self) -> list[Completion]:
        request = self._waiting.pop(0)
        text, stop = self.answer(request)
        return [Completion(request.id, text, tuple(text.split()), stop)]


def run(count: int, engine: Scripted, ranking: Ranking) -> list[Chain]:
    """All chains of so many seed sentences, after they have ended."""
    return complete([ranking.start(i, f"id{i}", f"seed {i}") for i in range(count)], engine, ranking)


def complete(chains: list[Chain], engine: Scripted, ranking: Ranking) -> list[Chain]:
    for ended in scheduler.run(chains, engine, ranking):
        assert ended == sum(chain.status != "running" for chain in chains)
    assert ended == len(chains)
    return chains


def numbered(request: Request) -> tuple[str, str]:
    _, seed_id, place, _ = request.key
    return f"rewrite {place} of {seed_id}", "end"


def recipe_of(
    rounds: int = 3,
    redraws: int = 2,
    guidance: float | list[float] = 1.5,
    limits: Limits = NO_LIMITS,
    prompt: prompts.Prompt = PROMPT,
) -> Ranking:
    return Ranking(prompt, Sampling(), rounds, guidance, redraws, limits, random_seed=5)


def test_a_shard_has_the_columns_that_consolidation_reads_in_their_order() -> None:
    assert recipe.schema(Ranking.columns).equals(SHARD, check_metadata=True)


@pytest.mark.parametrize("scale", [2.5, [1, 1.5], [2.0]])
def test_the_record_names_prompt_and_sampling(scale: object) -> None:
    """The values that `consolidate` writes into every row, as the configuration has them."""
    settings = {"guidance_scale": scale, "temperature": 0.5, "rounds": 4, "redraws": 7}
    record = load(config.complete({"generate": settings})).describe()
    prompt = prompts.load("few_shot")
    assert {key: record[key] for key in record if key != "sampling"} == {
        "prompt": "few_shot",
        "prompt_sha256": prompt.sha256,
        "prompt_text": prompt.shown,
    }
    sampling = settings | {"top_p": 1.0, "min_p": 0.0, "plausibility": 3.0, "max_new_tokens": 48}
    assert record["sampling"] == sampling
    assert type(record["sampling"]["guidance_scale"]) is type(scale)


def test_greedy_decoding_does_not_retry() -> None:
    assert load(config.complete({"generate": {"temperature": 0, "redraws": 3}})).redraws == 0


def test_every_chain_gets_its_rounds_and_the_previous_prompt_is_the_negative_one() -> None:
    engine = Scripted(numbered)
    done = run(5, engine, recipe_of())
    assert [chain.row for chain in done] == [0, 1, 2, 3, 4]
    for chain in done:
        assert chain.status == "complete"
        assert chain.sentences == [f"seed {chain.row}", *(f"rewrite {i} of id{chain.row}" for i in (1, 2, 3))]
    asked = [request for request in engine.asked if request.id == 3]
    assert [request.negative_prompt for request in asked] == [None, asked[0].prompt, asked[1].prompt]
    assert asked[2].prompt == PROMPT.fill("rewrite 2 of id3")
    assert all(request.one_line for request in asked)


def test_keys_do_not_depend_on_the_place_in_the_shard() -> None:
    engine = Scripted(numbered)
    complete([Chain(9, "id0", "seed 0")], engine, recipe_of())
    assert [request.key for request in engine.asked] == [(5, "id0", place, 0) for place in (1, 2, 3)]


def test_a_repeat_is_retried_with_another_key() -> None:
    def answer(request: Request) -> tuple[str, str]:
        _, _, place, attempt = request.key
        return ("Seed 0!", "end") if place == 2 and attempt < 2 else (f"rewrite {place}", "end")

    engine = Scripted(answer)
    (chain,) = run(1, engine, recipe_of())
    assert chain.status == "complete"
    assert chain.sentences == ["seed 0", "rewrite 1", "rewrite 2", "rewrite 3"]
    assert chain.redraws == 2
    assert chain.rejected == {"repeat": 2}
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
    (chain,) = run(1, engine, recipe_of(redraws=2))
    assert chain.status == status
    assert chain.sentences == ["seed 0"]
    assert len(engine.asked) == 3


def test_limits_reject_a_rewrite() -> None:
    engine = Scripted(lambda request: ("one two three four five", "end"))
    (chain,) = run(1, engine, recipe_of(limits=Limits(max_words=4)))
    assert chain.status == "too long"
    (chain,) = run(1, engine, recipe_of(limits=Limits(max_words=5), rounds=1))
    assert chain.status == "complete"


def test_without_retries_a_chain_is_given_up_at_once() -> None:
    engine = Scripted(lambda request: ("seed 0", "end"))
    (chain,) = run(1, engine, recipe_of(redraws=0))
    assert chain.status == "repeat"
    assert len(engine.asked) == 1


def test_guidance_may_differ_by_round_and_the_last_scale_holds_on() -> None:
    engine = Scripted(numbered)
    run(1, engine, recipe_of(rounds=4, guidance=[1.0, 1.5, 3.0]))
    assert [request.guidance_scale for request in engine.asked] == [1.0, 1.5, 3.0, 3.0]


def test_a_newline_is_the_proper_end_under_a_plain_prompt_alone() -> None:
    plain = prompts.Prompt("plain", "0" * 64, "Sentence: {sentence}\nRewrite:")
    newline = Scripted(lambda request: (numbered(request)[0], "newline"))
    (chain,) = run(1, newline, recipe_of(prompt=plain))
    assert chain.status == "complete"
    assert newline.asked[1].prompt == "Sentence: rewrite 1 of id0\nRewrite:"
    (chain,) = run(1, newline, recipe_of())
    assert chain.status == "newline"


def test_what_happened_is_counted() -> None:
    def answer(request: Request) -> tuple[str, str]:
        _, _, place, attempt = request.key
        return ("a b c", "length") if place == 2 and attempt == 0 else (f"rewrite {place}", "end")

    (chain,) = run(1, Scripted(answer), recipe_of())
    assert chain.tokens == 3 + 3 * 2
    assert chain.stops == {"end": 3, "length": 1}
    assert chain.rejected == {"cut off": 1}


def test_a_free_place_is_taken_at_once() -> None:
    waiting_at_once = []

    class Watching(Scripted):
        def step(self):
            waiting_at_once.append(len(self._waiting))
            return super().step()

    run(6, Watching(numbered, max_running=3), recipe_of(rounds=2))
    assert waiting_at_once[:-3] == [3] * (len(waiting_at_once) - 3)


def test_a_rewrite_that_the_engine_refuses_as_a_prompt_ends_its_chain_alone() -> None:
    class Short(Scripted):
        def add(self, request: Request) -> None:
            if "rewrite 2 of id1" in request.prompt[-1]["content"]:
                raise UserError("too long")
            super().add(request)

    done = run(4, Short(numbered), recipe_of())
    assert [done[row].status for row in range(4)] == ["complete", "prompt", "complete", "complete"]
    assert done[1].sentences[-1] == "rewrite 2 of id1"
    assert done[1].rejected == {"prompt": 1}


def test_a_seed_sentence_that_the_engine_refuses_is_an_error() -> None:
    class Refusing(Scripted):
        def add(self, request: Request) -> None:
            raise UserError("too long")

    with pytest.raises(UserError, match="too long"):
        run(2, Refusing(numbered), recipe_of())
