"""The miniature workflow with the SLURM profile, on a real cluster of two nodes with every kind of failure.

The fixture `history` runs one sequence, and the tests check its results. In the first run, one shard exceeds its
memory limit, one its time limit, one is cancelled, one loses its node, and one is running when Snakemake is killed
(tests/slurm/shard_python.py). The second run finds that job in the queue and stops; the third finishes the work.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from slurm import cluster

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]
ROOT = Path(__file__).parents[2]
DATA = (
    *("write/*.parquet", "seeds/pool.parquet", "generate/*.parquet", "consolidate/lists.parquet"),
    *("synthesize/*.parquet", "examples/*.parquet"),
)
FINISHED = ("seeds/pool", "generate/00000", "generate/00001", "generate/00002", "generate/00003")


@dataclass
class History:
    """Results of the sequence."""

    starts: dict[str, dict]  # SHARD.ATTEMPT -> record of shard_python.py
    killed: str  # output of the run that was killed
    refused: str  # output of the run that found its jobs in the queue
    last: str  # output of the run that finished the work
    code: int  # its exit code
    finished: dict[str, int]  # file -> modification time when the first run was killed
    orphan: str  # job of the shard that was running then
    survived: str  # exit code of the job that outlived its node
    data: dict[str, bytes]
    expected: dict[str, bytes]  # data of a run without a cluster


@pytest.fixture(scope="session")
def history(run, inputs: Path) -> History:
    """Run the sequence."""
    first = run.start()
    run.until(lambda: all(run.starts(f"{shard}.1") for shard in range(5)), "all shards have started")
    run.lab.call("scancel", run.starts("2.1")["job"])
    node = run.starts("3.1")["node"]
    for shard in (0, 2):
        run.until(lambda shard=shard: run.finished(shard), f"shard {shard} is finished")
    if run.starts("1.1")["node"] == node:  # a job that is lost with its node cannot reach its time limit
        run.until(lambda: run.finished(1), "the shard that takes too long is finished")
    run.lab.kill_node(node)
    alone = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "1", "consolidate", "base"],
        cwd=inputs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    run.until(lambda: run.starts("3.2"), "the shard whose node died starts again")
    run.lab.start_node(node)
    for shard in (1, 3):
        run.until(lambda shard=shard: run.finished(shard), f"shard {shard} is finished")
    (run.path / "survivor").touch()
    run.until((run.path / "survived").exists, "the job that outlived its node ends")

    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    killed = run.printed()
    finished = {name: run.time_of(name) for name in FINISHED}
    orphan = run.queue()["rule_generate_wildcards_00004"]
    assert alone.wait(timeout=120) == 0
    run.lab.wait_for_nodes()

    run.start("--unlock").wait()
    run.output.unlink()
    assert run.start().wait() != 0
    refused = run.printed()
    (cancel,) = re.findall(r"scancel [\d ]*\d", refused)
    run.lab.call(*cancel.split())
    run.until(lambda: not run.queue(), "the cancelled jobs have left the queue")

    run.output.unlink()
    (run.path / "last").touch()
    code = run.start().wait(timeout=420)
    return History(
        starts={file.stem: run.starts(file.stem) for file in (run.path / "starts").glob("*.json")},
        killed=killed,
        refused=refused,
        last=run.printed(),
        code=code,
        finished=finished,
        orphan=orphan,
        survived=(run.path / "survived").read_text(encoding="utf-8"),
        data=data(run.path),
        expected=data(inputs),
    )


def data(folder: Path) -> dict[str, bytes]:
    files = (file for pattern in DATA for file in (folder / "results").glob(pattern))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def report_of(job: str, text: str) -> str:
    """Line of Snakemake's output about the failure of a SLURM job."""
    (line,) = [line for line in text.splitlines() if f"SLURM-job '{job}' failed" in line]
    return line


def test_the_workflow_completes(history: History, run) -> None:
    assert history.code == 0, history.last
    for name in ("report.html", "scores.csv", "encoder/modules.json"):
        assert (run.path / "results" / name).stat().st_size > 0
    assert not list((run.path / "results").rglob("*.part"))


def test_the_data_are_those_of_a_run_without_a_cluster(history: History) -> None:
    # shards of write, generate and synthesize; pool, lists, examples, ratings and chosen examples
    assert len(history.data) == 5 + 5 + 5 + 5
    assert history.data == history.expected


def test_jobs_land_on_both_nodes_with_account_partition_and_gpu(history: History) -> None:
    assert {start["node"] for start in history.starts.values()} == set(cluster.NODES)
    for start in history.starts.values():
        assert start["gpus"] == "1"
        assert (start["slurm"]["Account"], start["slurm"]["Partition"]) == (cluster.ACCOUNT, cluster.GPU_PARTITION)


def test_a_job_above_its_memory_says_so_and_gets_more(history: History, run) -> None:
    first, second = history.starts["0.1"], history.starts["0.2"]
    assert (first["slurm"]["MinMemoryNode"], second["slurm"]["MinMemoryNode"]) == ("700M", "1400M")
    assert report_of(first["job"], history.killed)
    log = run.path / f"results/logs/slurm/rule_generate/00000/{first['job']}.log"
    assert "exceeded memory limit" in log.read_text(encoding="utf-8")


def test_a_job_above_its_time_says_so_and_gets_more(history: History) -> None:
    first, second = history.starts["1.1"], history.starts["1.2"]
    assert (first["slurm"]["TimeLimit"], second["slurm"]["TimeLimit"]) == ("00:01:00", "00:02:00")
    assert "'TIMEOUT'" in report_of(first["job"], history.killed)


def test_a_cancelled_job_says_so_and_is_run_again(history: History) -> None:
    assert "'CANCELLED'" in report_of(history.starts["2.1"]["job"], history.killed)
    assert "2.2" in history.starts


def test_a_job_whose_node_dies_says_so_and_is_run_again_on_the_other(history: History) -> None:
    first, second = history.starts["3.1"], history.starts["3.2"]
    assert "node failure" in report_of(first["job"], history.killed)
    assert first["node"] != second["node"]


def test_errors_name_the_log_of_the_job_and_that_of_slurm(history: History, run) -> None:
    for shard in range(4):
        job = history.starts[f"{shard}.1"]["job"]
        log = f"results/logs/slurm/rule_generate/{shard:05d}/{job}.log"
        assert f"results/logs/generate/{shard:05d}.log" in history.killed
        assert log in history.killed
        assert (run.path / log).stat().st_size > 0


def test_a_run_is_refused_while_jobs_of_a_killed_one_are_in_the_queue(history: History) -> None:
    assert "SLURM jobs of a killed run are still in the queue" in history.refused
    assert history.orphan in re.findall(r"scancel ([\d ]+)", history.refused)[0].split()
    assert "Traceback" not in history.refused


def test_the_next_run_does_nothing_again_that_was_finished(history: History, run) -> None:
    assert history.finished == {name: run.time_of(name) for name in history.finished}
    assert re.findall(r"generating ranking lists, shard (\d+)", history.last) == ["00004"]
    again = [name for name in history.starts if not name.startswith("4.")]
    assert sorted(again) == ["0.1", "0.2", "1.1", "1.2", "2.1", "2.2", "3.1", "3.2"]
