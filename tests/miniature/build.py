"""Inputs of the miniature workflow: `python tests/miniature/build.py FOLDER [--writing]`.

Writes FOLDER/{config.yaml, sentences.txt, encoder/, sts/}: sentences from word lists, a tiny random encoder, and
sentence pairs whose gold score is their share of common words. Deterministic; torch is imported only to build the
encoder. With --writing, the configuration also has the changes of writing.yaml.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

HERE = Path(__file__).parent
WHO = [
    "The old sailor",
    "A young doctor",
    "My tired neighbour",
    "Their best student",
    "The quiet farmer",
    "One tall singer",
]
DOES = ["carried", "painted", "sold", "found", "repaired", "lost", "washed", "borrowed"]
WHAT = ["a wooden boat", "the red bicycle", "some warm bread", "an empty box", "the broken clock", "a heavy book"]
WHERE = [
    "near the station",
    "before the rain",
    "behind the church",
    "after long thought",
    "in early spring",
    "at noon",
]


def sentences(count: int, seed: int) -> list[str]:
    """`count` distinct sentences."""
    every = [f"{a} {b} {c} {d}." for a in WHO for b in DOES for c in WHAT for d in WHERE]
    return random.Random(seed).sample(every, count)


def pairs(count: int, seed: int) -> pa.Table:
    """STS data: `count` pairs, score 0..5 by the overlap of their words."""
    first, second = sentences(count, seed), sentences(count, seed + 1)
    overlap = [
        len({*a.split()} & {*b.split()}) / len({*a.split()} | {*b.split()}) for a, b in zip(first, second, strict=True)
    ]
    return pa.table({"sentence1": first, "sentence2": second, "score": [5 * share for share in overlap]})


def alike(table: pa.Table) -> pa.Table:
    """The pairs, a quarter of them with the score of paraphrases, which word overlap alone never gives."""
    scores = table["score"].to_pylist()
    return table.set_column(2, "score", [[5.0 if row % 4 == 0 else score for row, score in enumerate(scores)]])


def changed(config: str, changes: str) -> str:
    """Return a configuration with the changes to its sections."""
    merged = yaml.safe_load(config)
    for section, keys in yaml.safe_load(changes).items():
        merged[section] = merged.get(section, {}) | keys
    return yaml.safe_dump(merged)


def build(folder: Path, encoder: Path | None = None, writing: bool = False) -> None:
    """Fill `folder`; copy `encoder` if it is given, and build one otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sentences.txt").write_text("\n".join(sentences(60, 1)) + "\n", encoding="utf-8")
    (folder / "sts").mkdir(exist_ok=True)
    pq.write_table(pairs(40, 10), folder / "sts" / "validation.parquet")
    pq.write_table(pairs(40, 20), folder / "sts" / "test.parquet")
    for place in ("tasks", "tasks2"):
        (folder / place / "Representation").mkdir(parents=True, exist_ok=True)
        pq.write_table(alike(pairs(40, 20)), folder / place / "Representation" / "test.parquet")
    config, changes = ((HERE / name).read_text(encoding="utf-8") for name in ("config.yaml", "writing.yaml"))
    (folder / "config.yaml").write_text(changed(config, changes) if writing else config, encoding="utf-8")
    if encoder is not None:
        shutil.copytree(encoder, folder / "encoder", dirs_exist_ok=True)
    else:
        sys.path.insert(0, str(HERE))
        from encoder import build as build_encoder

        build_encoder(folder / "encoder")


if __name__ == "__main__":
    build(Path(sys.argv[1]), writing="--writing" in sys.argv[2:])
