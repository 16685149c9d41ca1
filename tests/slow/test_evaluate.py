"""The published score of the base encoder, through the whole of evaluation, with the real model and data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rankrefine.evaluate import run, task


@pytest.mark.slow
def test_base_has_its_published_score(asset: Callable[[str], Path], tmp_path: Path) -> None:
    task.run("STSBenchmark", asset("stsb"), tmp_path / "task.json")
    run.run(tmp_path / "task.json", asset("all-minilm-l6-v2"), "base", None, tmp_path / "result.json")
    found = json.loads((tmp_path / "result.json").read_text())
    assert len(found["gold"]) == 1379
    assert found["value"] == pytest.approx(82.03, abs=0.05)
