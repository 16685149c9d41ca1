"""The published score of the base encoder, through the whole of evaluation, with the real model and data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rankrefine.assets import fetch
from rankrefine.evaluate import run, task


@pytest.mark.slow
def test_base_has_its_published_score(tmp_path: Path) -> None:
    for name, kind in (("stsb", "dataset"), ("all-minilm-l6-v2", "model")):
        fetch.run(f"embedded:{name}", kind, tmp_path / name, tmp_path / f"{name}.json")
    task.run("STSBenchmark", tmp_path / "stsb.json", tmp_path / "task.json")
    run.run(tmp_path / "task.json", tmp_path / "all-minilm-l6-v2.json", "base", None, tmp_path / "result.json")
    found = json.loads((tmp_path / "result.json").read_text())
    assert len(found["gold"]) == 1379
    assert found["value"] == pytest.approx(82.03, abs=0.05)
