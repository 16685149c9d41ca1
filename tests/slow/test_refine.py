"""Refinement with the real encoder and development data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.config import load as config
from rankrefine.encoders.opening import open_encoder
from rankrefine.refine import run, teacher


@pytest.mark.slow
def test_real_encoder_is_trained_saved_and_opened_again(asset: Callable[[str], Path], tmp_path: Path) -> None:
    model, data = asset("all-minilm-l6-v2"), asset("stsb")
    lists, embeddings = tmp_path / "lists.parquet", tmp_path / "teacher.safetensors"
    pairs = io.read_table(load_manifest(data).path / "validation.parquet").slice(0, 12)["sentence1"].to_pylist()
    io.write_table(lists, pa.table({"seed_id": ["a", "b", "c"], "sentences": [pairs[:3], pairs[3:7], pairs[7:]]}))
    whole = config.complete({"refine": {"learning_rate": 1e-6, "batch_size": 1, "evaluate_every": 50}})
    teacher.run(whole, lists, model, None, embeddings, tmp_path / "similarity.json")
    output, history = tmp_path / "out" / "model", tmp_path / "history.json"
    run.run(
        "refined",
        whole,
        lists=lists,
        teacher_embeddings=[embeddings],
        weights=[1.0],
        model=model,
        development=data,
        report_to=[],
        threads=None,
        processes=1,
        code=[],
        output=output,
        manifest=tmp_path / "model.json",
        history=history,
    )
    scores = io.read_json(history)["development"]
    assert [each["step"] for each in scores] == [0, 3]
    assert scores[0]["score"] == pytest.approx(86.72, abs=0.02)
    assert scores[1]["score"] == pytest.approx(86.72, abs=0.1)
    assert open_encoder(output).max_seq_length == open_encoder(load_manifest(model).path).max_seq_length == 256
