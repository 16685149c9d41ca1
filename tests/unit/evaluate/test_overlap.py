"""Counts of seed sentences in a task's text."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.config import load as config
from rankrefine.evaluate import catalogue, overlap, task

SEEDS = [
    "The old sailor sold a boat.",
    "A young doctor found the red bicycle.",
    "Nothing of this is there.",
    "Unused.",
]


def _run(folder: Path, name: str = "STSBenchmark", source: str = "sts", **parts: dict) -> dict:
    table = {
        "sentence1": ["the OLD sailor sold a boat!", "Rain fell."],
        "sentence2": ["A young doctor found the red bicycle near a church.", "Snow fell."],
        "score": [5.0, 1.0],
    }
    io.write_table(folder / "data" / "test.parquet", pa.table(table))
    io.write_table(folder / "pool.parquet", pa.table({"text": SEEDS}))
    write_manifest(folder / "data.json", source=source, kind="dataset", path=folder / "data")
    task.run(name, folder / "data.json", folder / "task.json", module=catalogue.module(name), own=[*catalogue.OWN])
    settings = config.complete({"seeds": {"count": 3, "decontaminate": ["sts"]}, **parts})
    overlap.run(settings, folder / "pool.parquet", folder / "task.json", folder / "out.json")
    return json.loads((folder / "out.json").read_text())


@pytest.mark.parametrize("name", ["STSBenchmark", "Representation"])
def test_seeds_are_found_word_for_word_and_by_their_n_grams(tmp_path: Path, name: str) -> None:
    found = _run(tmp_path, name)
    assert (found["seeds"], found["found"], found["overlapping"]) == (3, 1, 1)
    assert found["examples"] == SEEDS[:2]


def test_a_task_outside_of_decontamination_is_marked(tmp_path: Path) -> None:
    assert _run(tmp_path, source="sts")["decontaminated"]
    assert not _run(tmp_path, source="elsewhere")["decontaminated"]


def test_imported_lists_are_all_used(tmp_path: Path) -> None:
    assert _run(tmp_path, lists={"source": "import", "file": "x.csv"})["seeds"] == 4
