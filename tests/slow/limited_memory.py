"""A block in a process with limited memory: python limited_memory.py MODEL. The chains must be the same."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

import pyarrow as pa

from rankrefine.config import load as configuration
from rankrefine.generate import blocks
from rankrefine.generate.recipes import ranking
from rankrefine.llm.transformers import engine as engines

SETTINGS = configuration.complete({})["generate"] | {"dtype": "float32", "rounds": 2, "max_new_tokens": 8}
LEFT = 40_000_000  # bytes; keys and values of all 24 chains take 70 MB
M_MMAP_THRESHOLD = -3  # of mallopt: fixed, it makes the C library return freed memory, which could be used again


if __name__ == "__main__":
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 17)
    texts = [f"In {1900 + year} the town by the river had {3 * year + 7} houses and one church." for year in range(24)]
    seeds = pa.table({"seed_id": [f"{place:016x}" for place in range(len(texts))], "text": texts})
    recipe = ranking.load({"seed": 1, "generate": SETTINGS})
    engine = engines.load(Path(sys.argv[1]), recipe.prompts, recipe.sampling, len(texts), SETTINGS, 2)
    # first without a limit: a matrix library that cannot allocate its own buffers may wait for ever
    free, _ = blocks.run(seeds, engine, recipe, lambda *_: None)
    engine.reset()
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + LEFT, resource.RLIM_INFINITY))
    limited, _ = blocks.run(seeds, engine, recipe, lambda *_: None)
    assert [chain.sentences for chain in free] == [chain.sentences for chain in limited]
    print("equal")
