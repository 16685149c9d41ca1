"""Speed and memory of seed extraction from a large corpus.

    python benchmarks/seeds.py [--sentences 2000000]

Sentences have 5 to 19 words of a made-up language; every tenth one repeats the sentence before it with one word
changed. Goal: 2 million sentences in less than 1.5 GB.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from itertools import product
from pathlib import Path

from rankrefine.assets.manifest import write_manifest
from rankrefine.config import load as configuration
from rankrefine.io import read_json
from rankrefine.seeds import run as seeds


def main() -> None:
    """Print the rate and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=2_000_000)
    count = parser.parse_args().sentences
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source, manifest = folder / "corpus.txt", folder / "corpus.json"
        _write(source, count)
        write_manifest(manifest, source=str(source), kind="dataset", path=str(source))
        sources = [{"name": "made-up", "source": str(source)}]
        config = configuration.complete({"seeds": {"sources": sources, "decontaminate": []}})
        started = time.monotonic()
        seeds.run(config, [manifest], folder / "pool.parquet", folder / "pool.json")
        seconds = time.monotonic() - started
        record = read_json(folder / "pool.json")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{count} sentences, {record['kept']} kept, {record['dropped']['near duplicate']} near duplicates")
    print(f"{seconds:.0f} s, {count / seconds:.0f} sentences a second, {peak:.2f} GB peak memory")


def _write(file: Path, count: int) -> None:
    dice = random.Random(1)
    parts = ["".join(letters) for letters in product("bdfgklmnprst", "aeiou", ["n", "r", "st", "l", "m", "nd", "ck"])]
    words: list[str] = []
    with file.open("w", encoding="utf-8") as stream:
        for _ in range(count):
            if words and dice.random() < 0.1:
                words[dice.randrange(len(words))] = dice.choice(parts)
            else:
                words = [dice.choice(parts) + dice.choice(parts) for _ in range(dice.randrange(5, 20))]
            stream.write(" ".join(words).capitalize() + ".\n")


if __name__ == "__main__":
    main()
