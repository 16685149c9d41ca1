"""Blocks and their journal: finished blocks stay, the others restart, full memory halves the number of requests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine.errors import UserError
from rankrefine.generate import blocks
from rankrefine.generate.journal import Journal
from rankrefine.generate.recipes.ranking import Ranking
from rankrefine.generate.recipes.recipe import schema
from rankrefine.llm import prompts
from rankrefine.llm.interface import Completion, OutOfMemory, Request, Sampling
from rankrefine.text.rewrite_rules import Limits

PROMPT = prompts.Prompt("test", "0" * 64, ({"role": "user", "content": "say {sentence}"},))
RECIPE = Ranking(PROMPT, Sampling(), 2, guidance_scale=1.5, redraws=0, limits=Limits(), random_seed=5)
SHARD = schema(RECIPE.columns)
SEEDS = pa.table({"seed_id": ["a", "b", "c"], "text": ["one", "two", "three"], "source": ["x"] * 3})


class Narrow:
    """Test engine with memory for `most` requests at the same time."""

    def __init__(self, max_running: int, most: int) -> None:
        self.most, self.resets = most, []
        self.reset(max_running)

    def reset(self, max_running: int | None = None) -> None:
        if max_running:
            self.max_running = max_running
        self.resets.append(self.max_running)
        self._waiting: list[Request] = []

    def add(self, request: Request) -> None:
        if len(self._waiting) == self.most:
            raise OutOfMemory("the memory is full")
        self._waiting.append(request)

    def step(self) -> list[Completion]:
        request = self._waiting.pop(0)
        return [Completion(request.id, f"rewrite {request.key}", (1, 2), "end")]


def run(engine: Narrow) -> list:
    return blocks.run(SEEDS, engine, RECIPE, lambda *_: None)[0]


def sentences(chains) -> list[list[str]]:
    return [chain.sentences for chain in chains]


def test_memory_that_runs_out_halves_the_requests_and_loses_no_chain(caplog: pytest.LogCaptureFixture) -> None:
    counted = []
    narrow = Narrow(max_running=8, most=2)
    chains, _ = blocks.run(SEEDS, narrow, RECIPE, lambda chains, ended, seconds: counted.append(ended))
    assert narrow.resets == [8, 8, 4, 4, 2, 2]
    assert narrow.max_running == 8  # the next block must not depend on this one
    assert "Out of memory (the memory is full): restarting with 4 of 8 requests." in caplog.messages
    assert [chain.status for chain in chains] == ["complete"] * 3
    wide = Narrow(max_running=8, most=8)
    assert sentences(chains) == sentences(run(wide))
    assert wide.resets == [8, 8]
    assert [number for number, earlier in zip(counted[1:], counted, strict=False) if number > earlier] == [1, 2, 3]


def test_memory_that_is_too_small_for_one_request_is_an_error() -> None:
    with pytest.raises(
        UserError, match=r"Out of memory with a single request \(the memory is full\); use a smaller model"
    ):
        run(Narrow(max_running=4, most=0))


def test_a_block_can_be_stopped_after_any_step() -> None:
    engine = Narrow(max_running=2, most=2)
    chains, _ = blocks.run(SEEDS, engine, RECIPE, lambda chains, ended, seconds: ended == 1)
    assert sorted(chain.status for chain in chains) == ["complete", "running", "running"]
    assert run(engine) == run(Narrow(8, 8))  # the next block starts with an empty engine


def test_statistics_add_up() -> None:
    one = blocks.statistics(run(Narrow(8, 8)), 10)
    assert one["tokens"] == 12 and one["accepted"] == 6 and one["stops"] == {"end": 6}
    assert one["generating_seconds"] == 10
    both = blocks.total([one, one | {"rejected": {"repeat": 2}}])
    assert both["tokens"] == 24 and both["stops"] == {"end": 12} and both["rejected"] == {"repeat": 2}
    assert both["generating_seconds"] == 20


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, pa.Table, dict]:
    """A journal with one block."""
    chains = run(Narrow(8, 8))
    table, counts = blocks.table(chains, RECIPE, SEEDS["source"]), blocks.statistics(chains, 1.0)
    folder = tmp_path / "00000.blocks"
    Journal(folder, {"temperature": 1}, SHARD).write(3, SEEDS, table, counts)
    return folder, table, counts


def test_a_finished_block_is_found_again(made) -> None:
    folder, table, counts = made
    kept = Journal(folder, {"temperature": 1}, SHARD).read(3, SEEDS)
    assert kept[0].equals(table) and kept[0].schema.equals(table.schema, check_metadata=True)
    assert kept[1] == counts
    assert Counter(kept[1]["stops"]) == {"end": 6}


def test_a_block_with_other_inputs_is_not_used(made, caplog: pytest.LogCaptureFixture) -> None:
    folder, *_ = made
    journal = Journal(folder, {"temperature": 1}, SHARD)
    assert journal.read(2, SEEDS) is None
    assert journal.read(3, SEEDS.slice(0, 2)) is None
    with caplog.at_level("INFO"):
        assert Journal(folder, {"temperature": 2}, SHARD).read(3, SEEDS) is None
    assert "00003.parquet was generated with different inputs; regenerating." in caplog.text
    assert journal.read(3, SEEDS) is not None


@pytest.mark.parametrize("damage", [b"", b"PAR1 and then nothing", None])
def test_a_damaged_block_is_regenerated(made, damage: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    folder, *_ = made
    file = folder / "00003.parquet"
    file.write_bytes(file.read_bytes()[:200] if damage is None else damage)
    assert Journal(folder, {"temperature": 1}, SHARD).read(3, SEEDS) is None
    assert "00003.parquet is damaged; regenerating." in caplog.text


def test_the_journal_goes_when_the_shard_is_there(made) -> None:
    folder, *_ = made
    Journal(folder, {}, SHARD).remove()
    assert not folder.exists()
    Journal(folder, {}, SHARD).remove()
