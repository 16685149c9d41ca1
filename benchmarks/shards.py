"""Generation across shards on a processor: two jobs of one thread each, or one of two threads after the other?

    python benchmarks/shards.py [--chains 160] [--rounds 8] [--repeats 3]

Both make the same two shards with the commands of the workflow, in turn, at the settings of the config: the model
opens once for each shard, as it does in a run. --jobs 4 compares four jobs of one thread with one of four threads, on
four shards.
"""

from __future__ import annotations

import argparse
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
from rankrefine.config import load as configuration


def main() -> None:
    """Measure in turn and print the ratio."""
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
            found = {}
            # the other way round every second time
            for name in ("many", "one") if repeat % 2 == 0 else ("one", "many"):
                found[name] = _many(commands) if name == "many" else _one(commands, options.jobs)
                print(f"{_DID[name].format(options.jobs)}: {_told(folder, options, *found[name])}", flush=True)
            ratios.append(found["one"][0] / found["many"][0])
            print(f"{options.jobs} jobs are {ratios[-1]:.2f} times as fast as one", flush=True)
    print(f"median: {statistics.median(ratios):.2f} times")


_DID = {"many": "{0} jobs of 1 thread", "one": "1 job of {0} threads"}


def _commands(folder: Path, options: argparse.Namespace) -> list[list[str]]:
    """The command of every shard, without its threads."""
    texts = material.sentences(options.chains * options.jobs, folder)
    ids = [f"{place:016x}" for place in range(len(texts))]
    io.write_table(folder / "pool.parquet", pa.table({"seed_id": ids, "text": texts, "source": ["nyt"] * len(texts)}))
    io.write_json(folder / "pool.json", {"dropped": {}})
    material.model(options.model, folder / "model")
    manifest = next((folder / "model").glob("*.json"))
    config = configuration.complete({"generate": {"rounds": options.rounds, "model": options.model}})
    given = configuration.section(config, "seed", "generate")
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
    """Seconds of all jobs at once, and the GB that they had together at most."""
    started = time.monotonic()
    running = [subprocess.Popen([*command, "--threads", "1"]) for command in commands]
    memory = sum(_wait(job) for job in running)
    return time.monotonic() - started, memory


def _one(commands: list[list[str]], threads: int) -> tuple[float, float]:
    """Seconds of all jobs one after the other, and the GB of the largest."""
    started = time.monotonic()
    memory = max(_wait(subprocess.Popen([*command, "--threads", str(threads)])) for command in commands)
    return time.monotonic() - started, memory


def _wait(job: subprocess.Popen[bytes]) -> float:
    """GB that a job had at most."""
    _, status, usage = os.wait4(job.pid, 0)
    job.returncode = os.waitstatus_to_exitcode(status)
    if job.returncode:
        raise SystemExit(f"generation ended with exit code {job.returncode}")
    return usage.ru_maxrss / 1024**2


def _told(folder: Path, options: argparse.Namespace, seconds: float, memory: float) -> str:
    records = [io.read_json(file) for file in folder.glob("*-record.json")]
    tokens = sum(record["tokens"] for record in records)
    opening = sum(record["seconds"] - record["generating_seconds"] for record in records) / len(records)
    chains = options.chains * options.jobs
    return (
        f"{seconds:.0f} s, {chains / seconds:.2f} chains/s, {tokens / seconds:.0f} tokens/s, {memory:.1f} GB "
        f"(of each job {opening:.0f} s are not generation)"
    )


if __name__ == "__main__":
    main()
