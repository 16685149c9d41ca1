"""Locks: two processes never write the same files, and a killed one leaves no lock behind."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rankrefine import io, locks
from rankrefine.errors import UserError
from rankrefine.locks import InUse, locked

SRC = Path(io.__file__).parents[1]
HOLDER = "import sys; from pathlib import Path; from rankrefine import io, locks; path = Path(sys.argv[1]); "
LOCKS = (
    HOLDER + "lock = locks.locked(path); lock.__enter__(); print(flush=True); input(); lock.__exit__(None, None, None)"
)
WRITES = (
    HOLDER
    + "file = io.atomic(path); file.__enter__().write_text('first'); print(flush=True); input(); "
    + ("file.__exit__(None, None, None)")
)


@pytest.fixture
def holder():
    """Call it with a program and a path to start a process that holds its lock until it reads a line."""
    started: list[subprocess.Popen] = []

    def start(program: str, path: Path) -> subprocess.Popen:
        command, environment = [sys.executable, "-c", program, str(path)], os.environ | {"PYTHONPATH": str(SRC)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(process := subprocess.Popen(command, env=environment, **pipes))
        assert process.stdout.readline() == "\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_process_is_refused_and_the_first_goes_on(tmp_path: Path, holder: Callable) -> None:
    path = tmp_path / "results" / ".work"
    first = holder(LOCKS, path)
    message = rf"^{path} is in use by process {first.pid} on \S+; wait until it ends, or end it, and run again\.$"
    for _ in range(2):  # a refused one leaves the lock as it is
        with pytest.raises(UserError, match=message), locked(path):
            pytest.fail("both hold the lock")
    with locked(tmp_path / "results" / "other"):
        pass
    first.communicate("\n")
    assert first.returncode == 0
    assert list(path.parent.iterdir()) == []
    with locked(path):
        pass


def test_a_killed_process_holds_no_lock(tmp_path: Path, holder: Callable) -> None:
    first = holder(LOCKS, tmp_path / "a")
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert list(tmp_path.iterdir())  # its file
    with locked(tmp_path / "a"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_output_of_another_process_is_not_written(tmp_path: Path, holder: Callable) -> None:
    """Neither is its temporary file taken for that of a killed job."""
    file = tmp_path / "lists.parquet"
    first = holder(WRITES, file)
    with pytest.raises(InUse, match=r"lists.parquet is in use by process"):
        io.write_text(file, "second")
    first.communicate("\n")
    assert first.returncode == 0
    assert file.read_text() == "first"
    io.write_text(file, "third")
    assert [path.name for path in tmp_path.iterdir()] == ["lists.parquet"]


def test_a_lock_that_was_removed_in_between_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a process that waited to open it, and one that creates a new file, would both have the lock."""
    acquire, removed = locks.acquire, []

    def slow(stream) -> bool:
        if not removed:
            removed.append(stream)
            Path(stream.name).unlink()
        return acquire(stream)

    monkeypatch.setattr(locks, "acquire", slow)
    with locked(tmp_path / "a"):
        (file,) = tmp_path.iterdir()
        with file.open() as stream, pytest.raises(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_file_system_without_locks_gives_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", none)
    io.write_text(tmp_path / "a", "written")
    assert (tmp_path / "a").read_text() == "written"
    (message,) = caplog.messages
    assert "cannot be locked" in message and "No locks available" in message


# --- jobs


def test_a_second_job_of_a_shard_is_refused(tmp_path: Path) -> None:
    """The first one is stopped meanwhile, goes on, and writes what it writes alone."""
    rows = {name: [f"{name} {i} is a sentence of some words" for i in range(8)] for name in ("seed_id", "text")}
    _write_pool(tmp_path, rows)
    alone, first = _generate(tmp_path, "alone"), _generate(tmp_path, "shard")
    _wait_for(lambda: list(tmp_path.glob("shard/00000.blocks/*.parquet")), first)
    first.send_signal(signal.SIGSTOP)
    try:
        second = _generate(tmp_path, "shard")
        _, printed = second.communicate()
        assert second.returncode == 1
        assert printed.splitlines() == [
            f"rankrefine: error: shard/00000.blocks is in use by process {first.pid} on {os.uname().nodename}; wait "
            "until it ends, or end it, and run again."
        ]
    finally:
        first.send_signal(signal.SIGCONT)
    assert (first.wait(), alone.wait()) == (0, 0)
    assert sorted(path.name for path in (tmp_path / "shard").iterdir()) == ["00000.json", "00000.parquet"]
    assert (tmp_path / "shard" / "00000.parquet").read_bytes() == (tmp_path / "alone" / "00000.parquet").read_bytes()


def _write_pool(folder: Path, columns: dict[str, list[str]]) -> None:
    import pyarrow as pa

    io.write_table(folder / "pool.parquet", pa.table(columns | {"source": ["x"] * len(columns["text"])}))
    io.write_json(folder / "pool.json", {"dropped": {}})


def _generate(folder: Path, name: str) -> subprocess.Popen:
    """Start the command of a shard of eight blocks."""
    config = '{"seed": 7, "generate": {"engine": "fake", "rounds": 300, "block_size": 1}}'
    command = [
        *(sys.executable, "-m", "rankrefine", "generate", "--config", config, "--pool", "pool.parquet"),
        *("--pool-stats", "pool.json", "--first", "0", "--rows", "8", "--budget", "8"),
        *("--output", f"{name}/00000.parquet", "--stats", f"{name}/00000.json"),
    ]
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def _wait_for(condition: Callable[[], object], process: subprocess.Popen) -> None:
    while not condition():
        assert process.poll() is None
        time.sleep(0.01)
