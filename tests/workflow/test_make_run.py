"""`make run` resumes after a kill, and two runs never use one folder at the same time."""

from __future__ import annotations

import fcntl
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, str(ROOT / "workflow" / "run.py"), "--snakefile", str(ROOT / "Snakefile"), "--cores", "1"]


@pytest.fixture
def slow(fresh):
    """A folder whose only shard takes a few seconds."""
    fresh.configure("generate.rounds", 200)
    fresh.configure("generate.shard_size", 20)
    return fresh


@pytest.fixture
def waiting(fresh):
    """A folder whose shards wait for a file `go` before they are generated."""
    program = fresh.path / "python"
    program.write_text(f'#!/bin/sh\nuntil test -e go; do sleep 0.1; done\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    fresh.configure("generate.python", str(program))
    return fresh


def start(folder, command: list[str]) -> subprocess.Popen:
    """Start a run and wait until its shard is being generated."""
    running = subprocess.Popen(
        [*command, "consolidate"],
        cwd=folder.path,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (folder.path / "results" / "seeds" / "pool.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    assert running.poll() is None
    return running


def again(folder) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, "consolidate"], cwd=folder.path, capture_output=True, text=True)


def test_a_second_run_is_refused_and_a_killed_one_goes_on(slow) -> None:
    first = start(slow, RUN)
    refused = again(slow)
    assert refused.returncode == 75
    assert "Another run is using this folder" in refused.stderr
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    completed = again(slow)
    assert completed.returncode == 0, completed.stderr
    assert slow.read("results/consolidate/lists.parquet")


def test_a_plain_snakemake_and_orphaned_jobs_are_not_run_over(waiting) -> None:
    plain = start(waiting, [sys.executable, "-m", "snakemake", *RUN[2:]])
    second = waiting.snakemake("--cores", "1", "consolidate", check=False)  # Snakemake's own lock
    assert second.returncode == 1
    assert "Directory cannot be locked" in second.stdout + second.stderr
    refused = again(waiting)
    assert refused.returncode == 75
    assert "is still running in this folder" in refused.stderr and str(plain.pid) in refused.stderr
    os.kill(plain.pid, signal.SIGKILL)  # Snakemake alone: its job survives
    plain.wait()
    refused = again(waiting)
    assert refused.returncode == 75
    assert "a job of a killed run is still running" in refused.stderr
    os.killpg(plain.pid, signal.SIGKILL)
    time.sleep(0.5)
    (waiting.path / "go").touch()
    assert again(waiting).returncode == 0


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python -m rankrefine generate --first 0", True),
        ("python -m snakemake --cores 1", True),
        ("/x/bin/python /x/bin/snakemake -n", True),
        ("snakemake --cores all", True),
        ("bash -c snakemake", False),
        ("python -m pytest rankrefine", False),
        ("vim workflow/run.py", False),
    ],
)
def test_runs_and_jobs_are_recognised_by_their_command_line(command: str, expected: bool) -> None:
    assert runpy.run_path(RUN[1])["is_run"](command.replace(" ", "\0").encode() + b"\0") is expected


@pytest.mark.parametrize("flag", ["--directory", "-d", "--directory="])
def test_the_lock_is_that_of_the_results_folder_wherever_one_starts(tmp_path: Path, flag: str) -> None:
    """Otherwise a run started elsewhere would remove the lock of a run in this folder."""
    place, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    (place / "results").mkdir(parents=True)
    elsewhere.mkdir()
    directory = [f"{flag}{place}"] if flag.endswith("=") else [flag, str(place)]
    with (place / "results" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = subprocess.run([*RUN, *directory], cwd=elsewhere, capture_output=True, text=True)
    assert refused.returncode == 75
    assert "Another run is using this folder" in refused.stderr
    assert not list(elsewhere.iterdir())


def on_ascii_terminal(folder, command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    return subprocess.run(command, cwd=folder.path, env=environment, capture_output=True, encoding="ascii")


def test_a_terminal_without_utf_8_shows_the_scores_and_the_page_is_made(finished) -> None:
    with (finished.path / "config.yaml").open("a", encoding="utf-8") as config:
        config.write("# the page shows this file: ±\n")
    (finished.path / "results" / "report.html").unlink()
    scores = finished.path / "results" / "scores.md"
    scores.write_text("83.04 ± 0.21\n", encoding="utf-8")
    os.utime(scores, (time.time() + 600,) * 2)  # as if this run had written it
    completed = on_ascii_terminal(finished, [sys.executable, "-m", "snakemake", *RUN[2:]])
    assert completed.returncode == 0, completed.stderr
    assert r"83.04 \xb1 0.21" in completed.stderr
    assert (finished.path / "results" / "report.html").is_file()


def test_a_terminal_without_utf_8_shows_errors_without_a_traceback(fresh) -> None:
    fresh.configure("generate.prompt", "grüße.yaml")
    completed = on_ascii_terminal(fresh, RUN)
    assert completed.returncode == 1
    assert r"gr\xfc\xdfe.yaml" in completed.stderr
    assert "Traceback" not in completed.stderr
