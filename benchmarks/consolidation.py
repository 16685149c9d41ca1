"""Speed and memory of consolidation.

    python benchmarks/consolidation.py [--shards 1000] [--lists 500] [--rewrites 32]

The shards have the form of stage 2: distinct sentences of 5 to 19 words in a made-up language, and every twentieth
chain given up. The time is that of the workflow's command, including its start. Goal: 1 000 shards of 500 lists of 33
sentences in less than 1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rankrefine import io
from rankrefine.config import load as configuration
from rankrefine.ranking_lists.schema import SHARD

EVERY = 20  # one chain in 20 is given up
WRITER = {"model": "made-up", "revision": "1", "prompt": "few_shot", "prompt_sha256": "ab" * 32, "prompt_text": "…"}
WRITER |= {"sampling": {"guidance_scale": 1.5, "temperature": 0.8}}


def main() -> None:
    """Print the rate, the peak memory, and the sizes on disk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--lists", type=int, default=500, help="lists per shard")
    parser.add_argument("--rewrites", type=int, default=32, help="rewrites per list")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        shards, results = Path(scratch, "generate"), Path(scratch, "consolidate")
        started = time.monotonic()
        _write(shards, options.shards, options.lists, options.rewrites + 1)
        print(
            f"{options.shards} shards written in {time.monotonic() - started:.0f} s, {_size(shards):.2f} GB",
            flush=True,
        )
        seconds, memory = _consolidate(shards, results, options.shards * options.lists, options.lists)
        record = io.read_json(results / "lists.json")
        disk = _size(results)
    sentences = record["read"] * (options.rewrites + 1)
    print(f"{record['read']} lists read, {record['kept']} kept, dropped: {record['dropped']}")
    print(
        f"{sentences} sentences in {seconds:.1f} s, {sentences / seconds:.0f} a second, "
        f"{memory:.2f} GB peak memory, {disk:.2f} GB written"
    )


def _write(folder: Path, shards: int, lists: int, size: int) -> None:
    """Write all shards: the same sentences in each, with a first word that differs."""
    dice = random.Random(1)
    parts = ["".join(letters) for letters in product("bdfgklmnprst", "aeiou", ["n", "r", "st", "l", "m", "nd", "ck"])]
    sentences = pa.array(
        " ".join(dice.choice(parts) + dice.choice(parts) for _ in range(dice.randrange(4, 19))) + "."
        for _ in range(lists * size)
    )
    offsets = pa.array(range(0, lists * size + 1, size), pa.int32())
    source = pa.array(["made-up"] * lists)
    status = pa.array(["repeat" if place % EVERY == 0 else "complete" for place in range(lists)])
    redraws, tokens = pa.array([1] * lists, pa.int32()), pa.array([20 * size] * lists, pa.int32())
    for shard in range(shards):
        ids = pa.array(f"{shard * lists + place:016x}" for place in range(lists))
        word = f"{parts[shard % len(parts)]}{parts[shard // len(parts) % len(parts)]}".capitalize()
        texts = pa.ListArray.from_arrays(offsets, pc.binary_join_element_wise(word, sentences, " "))
        name, columns = f"{shard:05d}", [ids, source, texts, status, redraws, tokens]
        io.write_table(folder / f"{name}.parquet", pa.table(columns, schema=SHARD))
        io.write_json(folder / f"{name}.json", WRITER)


def _consolidate(shards: Path, results: Path, count: int, size: int) -> tuple[float, float]:
    """Run the stage as a command; return seconds and peak memory in GB."""
    seeds = {"sources": [{"name": "made-up", "source": "sentences.txt"}], "decontaminate": [], "count": count}
    config = configuration.complete({"seeds": seeds, "generate": {"engine": "fake", "shard_size": size}})
    given = json.dumps(config)
    pool = shards / "pool.json"
    io.write_json(pool, {"config": {"seeds": config["seeds"]}})
    command = [sys.executable, "-m", "rankrefine", "consolidate", "--config", given, "--shards", str(shards)]
    command += ["--pool-stats", str(pool), "--output", str(results / "lists.parquet")]
    command += ["--stats", str(results / "lists.json"), "--card", str(results / "README.md")]
    started = time.monotonic()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"Consolidation failed with exit code {process.returncode}.")
    return time.monotonic() - started, usage.ru_maxrss / 1024**2


def _size(folder: Path) -> float:
    """Return the size of a folder's files in GB."""
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e9


if __name__ == "__main__":
    main()
