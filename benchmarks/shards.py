"""Speed of generation on a processor with two jobs of one thread each, and with one job of two threads.

    python benchmarks/shards.py [--chains 160] [--rounds 8] [--repeats 3]

Both generate the same two shards with the commands of the workflow, in turn, with the settings of the configuration:
the model is loaded once per shard, as in a run. --jobs 4 compares four jobs of one thread with one of four threads, on
four shards.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import material
import pyarrow as pa

from rankrefine import io


def main() -> None:
    """Measure both in turn and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=material.SMALL)
    parser.add_argument("--chains", type=int, default=160, help="seed sentences of a shard")
    parser.add_argument("--rounds", type=int, default=8, help="rewrites of each")
    parser.add_argument("--jobs", type=int, default=2, help="jobs at a time, threads of the one job, and shards")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        commands = _commands(folder, options)
        for repeat in range(options.repeats):
            measured = {}
            # in the opposite order every second time
            for name in ("many", "one") if repeat % 2 == 0 else ("one", "many"):
                measured[name] = _many(commands) if name == "many" else _one(commands, options.jobs)
                print(
                    f"{_TITLES[name].format(options.jobs)}: {_summary(folder, options, *measured[name])}", flush=True
                )
            ratios.append(measured["one"][0] / measured["many"][0])
            print(f"{options.jobs} jobs are {ratios[-1]:.2f} times as fast as one", flush=True)
    print(f"median: {statistics.median(ratios):.2f} times")


_TITLES = {"many": "{0} jobs of 1 thread", "one": "1 job of {0} threads"}


def _commands(folder: Path, options: argparse.Namespace) -> list[list[str]]:
    """Return the command of every shard, without its threads."""
    texts = material.sentences(options.chains * options.jobs, folder)
    ids = [f"{place:016x}" for place in range(len(texts))]
    io.write_table(folder / "pool.parquet", pa.table({"seed_id": ids, "text": texts, "source": ["nyt"] * len(texts)}))
    io.write_json(folder / "pool.json", {"dropped": {}})
    material.model(options.model, folder / "model")
    manifest = next((folder / "model").glob("*.json"))
    given = json.dumps({"generate": {"rounds": options.rounds, "model": options.model}})
    return [
        [
            *(sys.executable, "-m", "rankrefine", "generate", "--config", given, "--gpus", "0", "--code", "benchmark"),
            *("--pool", str(folder / "pool.parquet"), "--pool-stats", str(folder / "pool.json")),
            *("--first", str(shard * options.chains), "--rows", str(options.chains), "--budget", str(len(texts))),
            *("--llm", str(manifest), "--output", str(folder / f"{shard:05d}.parquet")),
            *("--stats", str(folder / f"{shard:05d}-record.json")),
        ]
        for shard in range(options.jobs)
    ]


def _many(commands: list[list[str]]) -> tuple[float, float]:
    """Run all jobs at once; return seconds, and the sum of their peak memory in GB."""
    started = time.monotonic()
    running = [subprocess.Popen([*command, "--threads", "1"]) for command in commands]
    memory = sum(_wait(job) for job in running)
    return time.monotonic() - started, memory


def _one(commands: list[list[str]], threads: int) -> tuple[float, float]:
    """Run all jobs one after the other; return seconds, and the largest peak memory in GB."""
    started = time.monotonic()
    memory = max(_wait(subprocess.Popen([*command, "--threads", str(threads)])) for command in commands)
    return time.monotonic() - started, memory


def _wait(job: subprocess.Popen[bytes]) -> float:
    """Wait for a job; return its peak memory in GB."""
    _, status, usage = os.wait4(job.pid, 0)
    job.returncode = os.waitstatus_to_exitcode(status)
    if job.returncode:
        raise SystemExit(f"generation failed with exit code {job.returncode}")
    return usage.ru_maxrss / 1024**2


def _summary(folder: Path, options: argparse.Namespace, seconds: float, memory: float) -> str:
    records = [io.read_json(file) for file in folder.glob("*-record.json")]
    tokens = sum(record["tokens"] for record in records)
    opening = sum(record["seconds"] - record["generating_seconds"] for record in records) / len(records)
    chains = options.chains * options.jobs
    return (
        f"{seconds:.0f} s, {chains / seconds:.2f} chains/s, {tokens / seconds:.0f} tokens/s, {memory:.1f} GB "
        f"({opening:.0f} s of each job are not generation)"
    )


if __name__ == "__main__":
    main()
