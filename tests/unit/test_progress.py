"""Progress: a line at least every 30 seconds, its estimate, and bars on terminals alone."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterable
from itertools import cycle, islice, pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine import io as files
from rankrefine import progress
from rankrefine.cli.main import main
from rankrefine.generate import pace
from rankrefine.generate.recipes import ranking
from rankrefine.generate.recipes.recipe import COMPLETE
from rankrefine.progress import Progress, track

STEP = "step {done} of {total}"


class Clock:
    """A clock that only `advance` moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="rankrefine")


def times_of_lines(steps: Iterable[float], clock: Clock, caplog: pytest.LogCaptureFixture) -> list[float]:
    """Take steps of these seconds; return the times of the start, of all lines and of the end."""
    durations = list(steps)
    times = [0.0]
    with Progress("train", len(durations), STEP, clock=clock) as shown:
        for done, seconds in enumerate(durations, start=1):
            clock.advance(seconds)
            shown.to(done)
            if len(caplog.messages) == len(times):
                times.append(clock.now - 1000)
    return [*times, clock.now - 1000]


@pytest.mark.parametrize(
    "seconds", [(0.01,), (1,), (4,), (9,), (10,), (11,), (14,), (16,), (19,), (29,), (5, 14), (2, 2, 2, 11)]
)
def test_a_line_comes_at_least_every_30_seconds_and_no_flood(
    seconds: tuple[float, ...], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    steps = islice(cycle(seconds), round(600 / (sum(seconds) / len(seconds))))
    times = times_of_lines(steps, clock, caplog)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) <= 30 + 1e-6
    assert min(gaps[:-1]) >= min(max(seconds), 15)  # of steps longer than that, each has a line
    assert len(gaps) >= 20


def test_a_short_run_logs_no_line(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    assert times_of_lines([1] * 19, clock, caplog) == [0, 19]


def test_a_line_says_the_count_the_note_and_the_minutes_that_are_left(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with Progress("train", 100, STEP, clock=clock) as shown:
        clock.advance(60)
        shown.to(10, "development score 86.72")
        clock.advance(510)
        shown.to(95)
        clock.advance(30)
        shown.to(100)
    assert caplog.messages == [
        "train: step 10 of 100, development score 86.72, about 9 min left",
        "train: step 95 of 100, less than 1 min left",
        "train: step 100 of 100",
    ]


def test_the_estimate_leaves_out_what_an_earlier_process_has_done(clock: Clock) -> None:
    resumed = Progress("train", 100, STEP, done=50, clock=clock)
    clock.advance(60)
    resumed.to(50)
    assert resumed.text() == "step 50 of 100"  # nothing is known yet
    resumed.to(60)
    assert resumed.text() == "step 60 of 100, about 4 min left"
    shown = Progress("generate 00000", 100, STEP, clock=clock)
    clock.advance(60)
    shown.to(10)
    shown.skip(40)  # finished blocks
    assert shown.text() == "step 50 of 100, about 5 min left"


def test_the_estimate_is_that_of_the_work_where_units_end_late(clock: Clock) -> None:
    shown = Progress("generate 00000", 320, "list {done} of {total}", clock=clock)
    clock.advance(300)
    shown.to(0, "25% of the work", share=0.25)
    assert shown.text() == "list 0 of 320, 25% of the work, about 15 min left"


def test_work_that_starts_again_has_an_estimate(clock: Clock) -> None:
    """A block with too little memory restarts with fewer chains."""
    shown = Progress("generate 00000", 10, STEP, clock=clock)
    clock.advance(60)
    shown.to(5)
    shown.to(0)
    assert shown.text() == "step 0 of 10"
    clock.advance(60)
    shown.to(2)
    assert shown.text() == "step 2 of 10, about 8 min left"


@pytest.mark.parametrize("sized", [True, False])
def test_tracked_items_are_all_there_and_counted_when_they_are_finished(
    sized: bool, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    items = list(range(8))
    count = "{done} of {total} lists" if sized else "{done} lists"
    found = []
    for item in track(items if sized else iter(items), "import", count, clock=clock):
        found.append(item)
        clock.advance(30)
    assert found == items
    assert len(caplog.messages) == 8
    assert caplog.messages[3] == ("import: 4 of 8 lists, about 2 min left" if sized else "import: 4 lists")


def test_other_processes_of_a_training_are_silent(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with Progress("train", 10, STEP, is_shown=False, clock=clock) as shown:
        clock.advance(300)
        shown.to(5)
    assert caplog.messages == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [4, None])
def test_a_terminal_shows_a_bar_and_the_log_file_lines(
    total: int | None, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with Progress("seeds", total, "{done} sentences", clock=clock) as shown:
        for done in range(1, 5):
            clock.advance(60)
            shown.to(done, "news")
    drawn = terminal.getvalue().split("\r")
    assert len(drawn) >= 5 and "seeds" in drawn[-1] and "4 sentences, news" in drawn[-1]
    if total:
        bars = [text.count("#") for text in drawn]
        assert bars == sorted(bars) and bars[-1] == 20
    assert len(caplog.records) == 4
    assert not any(map(progress.is_for_stderr, caplog.records))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert all(map(progress.is_for_stderr, caplog.records))
    assert progress.is_for_stderr(logging.makeLogRecord({"name": "rankrefine.seeds.run"}))


def test_without_a_terminal_nothing_but_lines_is_written(clock: Clock, capsys: pytest.CaptureFixture) -> None:
    with Progress("seeds", 4, clock=clock) as shown:
        clock.advance(60)
        shown.to(4)
    assert capsys.readouterr().err == ""


# ---- generation


def chain(accepted: int, status: str = "running", steps: int = 0) -> ranking.Chain:
    made = ranking.Chain(0, "id", "A boat.", status=status, accepted=accepted, tokens=20 * accepted, steps=steps)
    made.stops["end"] = accepted
    return made


def test_the_work_of_chains_counts_their_rewrites_and_the_tokens_of_the_running_ones() -> None:
    from rankrefine.config.load import complete

    recipe = ranking.load(complete({"generate": {"rounds": 4}}))
    assert pace.share([chain(0), chain(0)], recipe) == 0
    assert pace.share([chain(0, steps=50)], recipe) == 0  # the usual length is not known yet
    assert pace.share([chain(1), chain(2)], recipe) == pytest.approx(3 / 8)
    assert pace.share([chain(1, steps=10), chain(2)], recipe) == pytest.approx(3.5 / 8)
    assert pace.share([chain(1, steps=400), chain(2)], recipe) == pytest.approx(3.9 / 8)
    assert pace.share([chain(1, "repeat"), chain(4, COMPLETE)], recipe) == 1
    assert pace.speed([chain(1, steps=10), chain(2)], 7.0) == pytest.approx(10)


def test_generation_says_list_speed_and_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "EVERY", 0.0)  # a line for each step
    texts = [f"The {word} boat left the harbour before noon." for word in ("old", "red", "slow", "small", "last")]
    ids = [f"{i:016x}" for i in range(len(texts))]
    files.write_table("pool.parquet", pa.table({"seed_id": ids, "text": texts, "source": ["x"] * len(texts)}))
    files.write_json("pool.json", {"dropped": {}})
    config = {"generate": {"engine": "fake", "block_size": 2, "rounds": 3}}
    command = [
        *("generate", "--config", json.dumps(config), "--pool", "pool.parquet", "--pool-stats", "pool.json"),
        *("--first", "0", "--rows", "5", "--budget", "5", "--output", "00000.parquet", "--stats", "00000.json"),
        *("--log", "job.log"),
    ]
    assert main(command) == 0
    lines = [message for message in caplog.messages if message.startswith("generate 00000: list")]
    left = "(?:, (?:about \\d+|less than 1) min left)?"
    pattern = rf"generate 00000: list (\d) of 5, (\d+)% of the work, \d+ tokens/s{left}"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert all(found), lines
    assert int(found[-1][1]) == 5 and found[-1][2] == "100"
    assert [int(match[1]) for match in found] == sorted(int(match[1]) for match in found)
    assert [line for line in lines if "less than 1 min left" in line]
    assert f"INFO rankrefine.progress: {lines[0]}\n" in Path("job.log").read_text(encoding="utf-8")
