"""Published scores of the base encoder, with the real model and data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rankrefine.evaluate import catalogue, run, task


def _evaluated(name: str, asset: Callable[[str], Path], folder: Path) -> list[dict]:
    task.run(name, asset("stsb"), folder / f"{name}-task.json", module=catalogue.module(name), own=[*catalogue.OWN])
    output, cache = folder / f"{name}.json", folder / "cache"
    run.run(folder / f"{name}-task.json", asset("all-minilm-l6-v2"), "base", None, output, embedding_cache=cache)
    return json.loads(output.read_text())


@pytest.mark.slow
def test_base_has_its_published_scores(asset: Callable[[str], Path], tmp_path: Path) -> None:
    found = _evaluated("STSBenchmark", asset, tmp_path)
    whole, *genres = found["metrics"]
    assert len(whole["gold"]) == 1379
    assert whole["value"] == pytest.approx(82.03, abs=0.02)
    assert found["encoded"] == 2552  # distinct sentences of 1379 pairs
    assert {genre["subset"] for genre in genres} == {"main-captions", "main-forums", "main-news"}
    space = _evaluated("Representation", asset, tmp_path)
    assert space["encoded"] == 0  # same sentences as in STSBenchmark
    values = {metric["metric"]: metric["value"] for metric in space["metrics"]}
    # computed from the same sentences by a separate script, to the third digit
    assert values == pytest.approx({"alignment": 0.330, "uniformity": -3.819, "effective_rank": 304.9}, rel=2e-3)
