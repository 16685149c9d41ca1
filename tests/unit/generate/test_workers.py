"""Several blocks at the same time."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest

from rankrefine.errors import UserError
from rankrefine.generate import workers
from rankrefine.generate.recipes import ranking
from rankrefine.llm.fake.engine import FakeEngine
from rankrefine.llm.interface import Completion, Request

RECIPE = ranking.load(
    {
        "seed": 1,
        "generate": {
            **{
                "prompt": "few_shot",
                "rounds": 3,
                "guidance_scale": 1.5,
                "redraws": 3,
                "temperature": 0.8,
                "top_p": 1.0,
            },
            **{"min_p": 0.0, "plausibility": 3.0, "max_new_tokens": 48, "max_overlap": 1.0, "min_words": 2},
            **{"max_words": 60, "forbid": []},
        },
    }
)


class Engine(FakeEngine):
    """A fake engine that records its threads, and refuses a sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.max_running, self.threads = 4, set()

    def add(self, request: Request) -> None:
        """Add a request."""
        if "refused" in str(request.prompt):
            raise UserError("refused")
        super().add(request)

    def step(self) -> list[Completion]:
        """Complete all requests."""
        self.threads.add(threading.get_ident())
        return super().step()


def blocks(count: int, words: str = "boat left the harbour before noon") -> list[tuple[int, pa.Table]]:
    texts = [[f"The {number} {word} {words}." for word in ("old", "red", "slow")] for number in range(count)]
    return [
        (number, pa.table({"seed_id": [f"{number}{i}" for i in range(3)], "text": own}))
        for number, own in enumerate(texts)
    ]


def chains(engines: list[Engine], waiting: list[tuple[int, pa.Table]], after: Any = lambda *_: None) -> dict:
    with workers.run(waiting, engines, RECIPE, lambda _: after) as ended:
        return {number: [draft.sentences for draft in drafts] for number, drafts, _ in ended}


def test_blocks_give_the_same_alone_and_at_the_same_time() -> None:
    several = [Engine(), Engine()]
    found = chains(several, blocks(7))
    assert found == chains([Engine()], blocks(7))
    assert sorted(found) == list(range(7))
    used = set().union(*(engine.threads for engine in several))
    assert threading.get_ident() not in used


def test_an_engine_alone_stays_in_the_callers_thread() -> None:
    engine = Engine()
    chains([engine], blocks(3))
    assert engine.threads == {threading.get_ident()}


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_in_one_block_stops_the_others(count: int) -> None:
    steps = []
    waiting = blocks(40)
    waiting[0] = blocks(1, "refused")[0]
    with pytest.raises(UserError, match="refused"):
        chains([Engine() for _ in range(count)], waiting, lambda *_: steps.append(1))
    assert len(steps) < 40


def test_leaving_the_context_stops_the_blocks() -> None:
    steps = []
    with workers.run(blocks(400), [Engine(), Engine()], RECIPE, lambda _: lambda *_: steps.append(1)) as ended:
        next(ended)
    assert len(steps) < 400
    assert threading.active_count() < 10
