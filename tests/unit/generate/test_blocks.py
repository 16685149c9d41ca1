"""Blocks and their journal: what is finished stays, the rest starts again, full memory halves the seats."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine.errors import UserError
from rankrefine.generate import blocks
from rankrefine.generate.journal import Journal
from rankrefine.generate.recipes.ranking import Plan
from rankrefine.llm import prompts
from rankrefine.llm.interface import Completion, OutOfMemory, Request
from rankrefine.text.rewrite_rules import Limits

PROMPT = prompts.Prompt("test", "0" * 64, ({"role": "user", "content": "say {sentence}"},))
PLAN = Plan(PROMPT, rounds=2, guidance=(1.5,), redraws=0, limits=Limits(), seed=5)
SEEDS = pa.table({"seed_id": ["a", "b", "c"], "text": ["one", "two", "three"], "source": ["x"] * 3})


class Narrow:
    """A test engine whose memory does for `most` requests at a time."""

    def __init__(self, seats: int, most: int) -> None:
        self.most, self.resets = most, []
        self.reset(seats)

    def reset(self, seats: int | None = None) -> None:
        if seats:
            self.seats = seats
        self.resets.append(self.seats)
        self._waiting: list[Request] = []

    def add(self, request: Request) -> None:
        if len(self._waiting) == self.most:
            raise OutOfMemory("the memory is full")
        self._waiting.append(request)

    def step(self) -> list[Completion]:
        request = self._waiting.pop(0)
        return [Completion(request.id, f"rewrite {request.key}", (1, 2), "end")]


def sentences(chains) -> list[list[str]]:
    return [chain.sentences for chain in chains]


def test_memory_that_runs_out_halves_the_seats_and_loses_no_chain() -> None:
    counted = []
    narrow = Narrow(seats=8, most=2)
    chains = blocks.run(SEEDS, narrow, PLAN, lambda chains, ended: counted.append(ended))
    assert narrow.resets == [8, 8, 4, 4, 2, 2]
    assert narrow.seats == 8  # the next block is not to depend on this one
    assert [chain.status for chain in chains] == ["complete"] * 3
    wide = Narrow(seats=8, most=8)
    assert sentences(chains) == sentences(blocks.run(SEEDS, wide, PLAN, lambda *_: None))
    assert wide.resets == [8, 8]
    assert counted[-3:] == [1, 2, 3]


def test_memory_that_does_not_do_for_one_chain_is_told() -> None:
    with pytest.raises(
        UserError, match=r"not enough memory for one pair of prompts \(the memory is full\); use a small"
    ):
        blocks.run(SEEDS, Narrow(seats=4, most=0), PLAN, lambda *_: None)


def test_statistics_add_up() -> None:
    chains = blocks.run(SEEDS, Narrow(8, 8), PLAN, lambda *_: None)
    one = blocks.statistics(chains, time.monotonic() - 10)
    assert one["tokens"] == 12 and one["rewrites"] == 6 and one["stops"] == {"end": 6}
    assert one["generating_seconds"] == pytest.approx(10, abs=1)
    both = blocks.total([one, one | {"refused": {"repeat": 2}}])
    assert both["tokens"] == 24 and both["stops"] == {"end": 12} and both["refused"] == {"repeat": 2}
    assert both["generating_seconds"] == pytest.approx(2 * one["generating_seconds"])


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, pa.Table, dict]:
    """A journal with one block."""
    chains = blocks.run(SEEDS, Narrow(8, 8), PLAN, lambda *_: None)
    table, counts = blocks.table(chains, SEEDS["source"]), blocks.statistics(chains, time.monotonic())
    folder = tmp_path / "00000.blocks"
    Journal(folder, {"temperature": 1}).write(3, SEEDS, table, counts)
    return folder, table, counts


def test_a_finished_block_is_found_again(made) -> None:
    folder, table, counts = made
    kept = Journal(folder, {"temperature": 1}).read(3, SEEDS)
    assert kept[0].equals(table) and kept[0].schema.equals(table.schema, check_metadata=True)
    assert kept[1] == counts
    assert Counter(kept[1]["stops"]) == {"end": 6}


def test_a_block_made_otherwise_is_not_used(made) -> None:
    folder, *_ = made
    journal = Journal(folder, {"temperature": 1})
    assert journal.read(2, SEEDS) is None
    assert journal.read(3, SEEDS.slice(0, 2)) is None
    assert Journal(folder, {"temperature": 2}).read(3, SEEDS) is None
    assert journal.read(3, SEEDS) is not None


@pytest.mark.parametrize("damage", [b"", b"PAR1 and then nothing", None])
def test_a_damaged_block_is_made_again(made, damage: bytes | None) -> None:
    folder, *_ = made
    file = folder / "00003.parquet"
    file.write_bytes(file.read_bytes()[:200] if damage is None else damage)
    assert Journal(folder, {"temperature": 1}).read(3, SEEDS) is None


def test_the_journal_goes_when_the_shard_is_there(made) -> None:
    folder, *_ = made
    Journal(folder, {}).remove()
    assert not folder.exists()
    Journal(folder, {}).remove()
