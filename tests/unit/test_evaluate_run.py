"""Evaluation through MTEB with a small static encoder, offline."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.encoder import open_encoder
from rankrefine.errors import UserError
from rankrefine.evaluate import run, task

WORDS = ["[UNK]", "the", "a", "cat", "dog", "bird", "sits", "runs", "sings", "on", "mat", "tree", "song", "and", "two"]


def save_static_encoder(folder: Path, weights: np.ndarray | None = None) -> Path:
    """A sentence-transformers folder with one random vector per word of `WORDS`."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if weights is None:
        weights = np.random.default_rng(0).normal(size=(len(WORDS), 16))
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, weights.astype(np.float32))]).save(str(folder))
    return folder


def _pairs(rows: int = 70) -> dict[str, list]:
    rng = np.random.default_rng(1)
    sentences = [" ".join(rng.choice(WORDS[1:], size=rng.integers(1, 9))) for _ in range(2 * rows)]
    return {"sentence1": sentences[:rows], "sentence2": sentences[rows:], "score": rng.uniform(0, 5, rows).round(1)}


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    io.write_table(tmp_path / "data" / "test.parquet", pa.table(_pairs()))
    write_manifest(tmp_path / "data.json", source="data", kind="dataset", path=tmp_path / "data")
    task.run("STSBenchmark", tmp_path / "data.json", tmp_path / "task.json")
    return tmp_path / "task.json"


def _model(folder: Path, weights: np.ndarray | None = None) -> Path:
    save_static_encoder(folder / "model", weights)
    write_manifest(folder / "model.json", source="somewhere", kind="model", path=folder / "model", revision="rev")
    return folder / "model.json"


def test_result_is_mtebs_and_pairs_keep_their_order(tmp_path: Path, prepared: Path) -> None:
    output = tmp_path / "evaluate" / "refined" / "7" / "STSBenchmark.json"
    run.run(prepared, _model(tmp_path), "refined/7", 1, output)
    found, pairs = json.loads(output.read_text()), _pairs()
    model = open_encoder(tmp_path / "model", 1)
    cosines = model.similarity_pairwise(model.encode(pairs["sentence1"]), model.encode(pairs["sentence2"]))
    np.testing.assert_allclose(found["predicted"], cosines, atol=1e-5)
    assert found["gold"] == pairs["score"].tolist()
    assert found["value"] == pytest.approx(100 * spearmanr(pairs["score"], cosines)[0], abs=1e-6)
    assert found["mteb"]["scores"]["test"][0]["main_score"] * 100 == pytest.approx(found["value"])
    assert (found["task"], found["model"], found["metric"]) == ("STSBenchmark", "refined/7", "spearman")
    assert (found["source"], found["revision"], found["stage"]) == ("somewhere", "rev", "evaluate")
    assert [path.name for path in output.parent.iterdir()] == ["STSBenchmark.json"]  # MTEB's files are gone


def test_nothing_tries_the_network(tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def refuse(*arguments: object, **_: object) -> None:
        tried.append(arguments)
        raise OSError("no network in this test")

    model = _model(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    run.run(prepared, model, "base", 1, tmp_path / "out.json")
    assert tried == []


def test_nan_embeddings(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(UserError, match="embeddings that hold NaN or infinity on STSBenchmark"):
        run.run(prepared, _model(tmp_path, np.full((len(WORDS), 4), np.nan)), "base", 1, tmp_path / "out" / "x.json")
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_constant_embeddings(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(UserError, match="gives all 70 pairs of STSBenchmark the same similarity"):
        run.run(prepared, _model(tmp_path, np.ones((len(WORDS), 4))), "base", 1, tmp_path / "out.json")


def test_data_that_changed_since_the_check(tmp_path: Path, prepared: Path) -> None:
    io.write_table(tmp_path / "data" / "test.parquet", pa.table(_pairs(60)))
    with pytest.raises(UserError, match=r"test\.parquet has changed since its task was checked"):
        run.run(prepared, _model(tmp_path), "base", 1, tmp_path / "out.json")
