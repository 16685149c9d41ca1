"""Evaluation with a small static encoder, offline."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from miniature.encoder import build as build_encoder
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from rankrefine import io, progress
from rankrefine.assets.manifest import write_manifest
from rankrefine.encoders.opening import open_encoder
from rankrefine.errors import UserError
from rankrefine.evaluate import catalogue, mteb_scores, run, task
from rankrefine.evaluate.embedding_cache import EmbeddingCache
from rankrefine.locks import locked

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
    model = open_encoder(tmp_path / "model", threads=1)
    cosines = model.similarity_pairwise(model.encode(pairs["sentence1"]), model.encode(pairs["sentence2"]))
    (metric,) = found["metrics"]
    np.testing.assert_allclose(metric["predicted"], cosines, atol=1e-5)
    assert metric["gold"] == pairs["score"].tolist()
    assert metric["value"] == pytest.approx(100 * spearmanr(pairs["score"], cosines)[0], abs=1e-6)
    assert found["mteb"]["result"]["scores"]["test"][0]["main_score"] * 100 == pytest.approx(metric["value"])
    assert (found["task"], found["model"], metric["metric"]) == ("STSBenchmark", "refined/7", "spearman")
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
    with pytest.raises(
        UserError, match=r"model on STSBenchmark: The embedding of '.*' contains NaN or infinity; check"
    ):
        run.run(prepared, _model(tmp_path, np.full((len(WORDS), 4), np.nan)), "base", 1, tmp_path / "out" / "x.json")
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_constant_embeddings(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(
        UserError, match="model on STSBenchmark: All 70 pairs of STSBenchmark have the same similarity"
    ):
        run.run(prepared, _model(tmp_path, np.ones((len(WORDS), 4))), "base", 1, tmp_path / "out.json")


def test_data_that_changed_since_the_check(tmp_path: Path, prepared: Path) -> None:
    io.write_table(tmp_path / "data" / "test.parquet", pa.table(_pairs(60)))
    with pytest.raises(UserError, match=r"test\.parquet has changed since its task was checked"):
        run.run(prepared, _model(tmp_path), "base", 1, tmp_path / "out.json")


def test_subsets_of_pairs(tmp_path: Path) -> None:
    genres = ["news"] * 40 + ["forum"] * 25 + ["rare"] * 5
    io.write_table(tmp_path / "data" / "test.parquet", pa.table(_pairs() | {"genre": genres}))
    write_manifest(tmp_path / "data.json", source="data", kind="dataset", path=tmp_path / "data")
    task.run("STSBenchmark", tmp_path / "data.json", tmp_path / "task.json")
    run.run(tmp_path / "task.json", _model(tmp_path), "base", 1, tmp_path / "out.json")
    whole, *parts = json.loads((tmp_path / "out.json").read_text())["metrics"]
    assert [part["subset"] for part in parts] == ["forum", "news"]  # five pairs are too few
    is_news = np.array(genres) == "news"
    expected = spearmanr(np.array(whole["gold"])[is_news], np.array(whole["predicted"])[is_news])[0]
    assert parts[1]["value"] == pytest.approx(100 * expected)


def _reranking(tmp_path: Path, queries: int = 12, name: str = "AskUbuntuDupQuestions") -> Path:
    rng = np.random.default_rng(2)
    text = iter([" ".join(rng.choice(WORDS[1:], size=rng.integers(2, 9))) for _ in range(9 * queries)])
    rows = {"query": [], "positive": [], "negative": []}
    for _ in range(queries):
        rows["query"].append(next(text))
        rows["positive"].append([next(text), next(text)])
        rows["negative"].append([next(text) for _ in range(5)])
    io.write_table(tmp_path / "data" / "test.parquet", pa.table(rows))
    write_manifest(tmp_path / "data.json", source="data", kind="dataset", path=tmp_path / "data")
    task.run(name, tmp_path / "data.json", tmp_path / "task.json", module=catalogue.module(name), own=[*catalogue.OWN])
    return tmp_path / "task.json"


def test_reranking_is_the_mean_average_precision_of_the_queries(tmp_path: Path) -> None:
    prepared = _reranking(tmp_path)
    assert json.loads(prepared.read_text())["units"] == 12
    run.run(prepared, _model(tmp_path), "base", 1, tmp_path / "out.json")
    (metric,) = json.loads((tmp_path / "out.json").read_text())["metrics"]
    model = open_encoder(tmp_path / "model", threads=1)
    expected = []
    for row in io.read_table(tmp_path / "data" / "test.parquet").to_pylist():
        candidates = list(dict.fromkeys(row["positive"] + row["negative"]))
        cosines = model.similarity(model.encode([row["query"]]), model.encode(candidates))[0].numpy()
        relevant = [text in row["positive"] for text in candidates]
        expected.append(100 * average_precision_score(relevant, cosines))
    assert metric["metric"] == "map"
    np.testing.assert_allclose(metric["scores"], expected, atol=0.01)
    assert metric["value"] == pytest.approx(np.mean(expected), abs=0.01)


def test_queries_that_mteb_joins_from_parts_stay_separate(tmp_path: Path) -> None:
    """MindSmallReranking is scored over parts of queries; in a table every query is its own."""
    found = []
    for name in ("AskUbuntuDupQuestions", "MindSmallReranking"):
        run.run(_reranking(tmp_path, name=name), _model(tmp_path), "base", 1, tmp_path / "out.json")
        (metric,) = json.loads((tmp_path / "out.json").read_text())["metrics"]
        found.append(metric)
    assert found[0]["metric"] == found[1]["metric"] == "map"
    np.testing.assert_allclose(found[0]["scores"], found[1]["scores"])


def test_parts_of_a_query_count_once(tmp_path: Path) -> None:
    relevant = {"a_0": {"x": 1}, "a_1": {"x": 1}, "b_0": {"y": 1}}
    ranked = {"a_0": {"x": 0.1, "y": 0.9}, "a_1": {"x": 0.95, "y": 0.2}, "b_0": {"x": 0.3, "y": 0.2}}
    judged, best = mteb_scores._merged(relevant, ranked)
    assert judged == {"a": {"x": 1}, "b": {"y": 1}}
    assert best == {"a": {"x": 0.95, "y": 0.9}, "b": {"x": 0.3, "y": 0.2}}


def test_a_copy_of_a_hub_repository_is_opened_by_mteb(tmp_path: Path) -> None:
    """A classification, as an example of the tasks whose data MTEB reads."""
    rng = np.random.default_rng(3)
    rows = [{"text": " ".join(rng.choice(WORDS[1:], 5)), "label": int(rng.integers(2))} for _ in range(80)]
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        lines = "\n".join(json.dumps(row) for row in rows)
        (tmp_path / "data" / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    write_manifest(
        tmp_path / "data.json", source="mteb:ToxicConversationsClassification", kind="dataset", path=tmp_path / "data"
    )
    task.run("ToxicConversationsClassification", tmp_path / "data.json", tmp_path / "task.json")
    run.run(tmp_path / "task.json", _model(tmp_path), "base", 1, tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["metrics"][0]["metric"] == "accuracy"
    assert found["metrics"][0]["value"] == pytest.approx(
        100 * found["mteb"]["result"]["scores"]["test"][0]["main_score"]
    )
    assert 0 < found["metrics"][0]["value"] <= 100


def test_tasks_share_encoded_texts(tmp_path: Path, prepared: Path) -> None:
    model, cache = _model(tmp_path), tmp_path / "cache"
    run.run(prepared, model, "base", 1, tmp_path / "alone.json")
    for name in ("first", "second"):
        run.run(prepared, model, "base", 1, tmp_path / f"{name}.json", embedding_cache=cache)
    alone, first, second = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("alone", "first", "second")
    )
    pairs = _pairs()
    assert first["encoded"] == len({*pairs["sentence1"], *pairs["sentence2"]})
    assert second["encoded"] == 0
    assert alone["metrics"] == first["metrics"] == second["metrics"]
    other = _model(tmp_path / "other", np.random.default_rng(9).normal(size=(len(WORDS), 16)))
    run.run(prepared, other, "other", 1, tmp_path / "other.json", embedding_cache=cache)
    assert json.loads((tmp_path / "other.json").read_text())["encoded"] == first["encoded"]


def test_an_evaluation_counts_the_texts_that_it_encodes(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)  # a line for each batch
    caplog.set_level("INFO", logger="rankrefine")
    model, cache = _model(tmp_path), tmp_path / "cache"
    run.run(prepared, model, "base", 1, tmp_path / "out.json", embedding_cache=cache)
    encoded = json.loads((tmp_path / "out.json").read_text())["encoded"]
    lines = [re.fullmatch(r"base on \w+: (\d+) of (\d+) sentences.*", message) for message in caplog.messages]
    counts = [(int(line[1]), int(line[2])) for line in lines if line]
    assert sum(total for done, total in counts if done == total) == encoded
    caplog.clear()
    run.run(prepared, model, "base", 1, tmp_path / "again.json", embedding_cache=cache)
    assert not [message for message in caplog.messages if "sentences" in message]


def test_embeddings_of_different_code_are_not_used(tmp_path: Path, prepared: Path) -> None:
    model, cache = _model(tmp_path), tmp_path / "cache"
    run.run(prepared, model, "base", 1, tmp_path / "first.json", embedding_cache=cache, code=["one"])
    run.run(prepared, model, "base", 1, tmp_path / "second.json", embedding_cache=cache, code=["two"])
    first, second = (json.loads((tmp_path / f"{name}.json").read_text())["encoded"] for name in ("first", "second"))
    assert second == first > 0


def test_queries_and_sentences_share_a_text(tmp_path: Path) -> None:
    encoder = open_encoder(save_static_encoder(tmp_path / "model"), threads=1)
    cache = EmbeddingCache(encoder, "x", tmp_path / "cache")
    plain = encoder.encode(["the cat", "the dog"], batch_size=7)
    assert np.array_equal(encoder.encode_query(["the dog"]), plain[1:])
    assert cache.encoded == 2
    encoder.encode(["the cat"], normalize_embeddings=True)
    encoder.encode(["the cat"], prompt="a ")
    assert cache.encoded == 4
    cache.save()
    again = EmbeddingCache(open_encoder(tmp_path / "model", threads=1), "x", tmp_path / "cache")
    again.encode(["a bird"])
    again.save()  # adds to the task's file
    third = EmbeddingCache(open_encoder(tmp_path / "model", threads=1), "y", tmp_path / "cache")
    third.encode(["the cat", "a bird"])
    assert third.encoded == 0


def test_two_jobs_of_one_model_and_task_both_finish(tmp_path: Path) -> None:
    """The model may be evaluated under two names; that only one saves its embeddings is no error."""
    encoder = open_encoder(save_static_encoder(tmp_path / "model"), threads=1)
    cache = EmbeddingCache(encoder, "x", tmp_path / "cache")
    encoder.encode(["the cat"])
    with locked(tmp_path / "cache" / "x.safetensors"):
        cache.save()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_cache_file_is_replaced(tmp_path: Path, prepared: Path) -> None:
    model, cache = _model(tmp_path), tmp_path / "cache"
    run.run(prepared, model, "base", 1, tmp_path / "out.json", embedding_cache=cache)
    (file,) = cache.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-40])
    run.run(prepared, model, "base", 1, tmp_path / "again.json", embedding_cache=cache)
    results = [json.loads((tmp_path / name).read_text()) for name in ("out.json", "again.json")]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert results[1]["encoded"] == results[0]["encoded"]


def test_reranking_data_from_a_hub_repository_give_the_same(tmp_path: Path) -> None:
    """Corpus, queries, relevant documents and candidates in files of their own, which the README names."""
    run.run(_reranking(tmp_path), _model(tmp_path), "base", 1, tmp_path / "table.json")
    rows = io.read_table(tmp_path / "data" / "test.parquet").to_pylist()
    hub = tmp_path / "hub"
    texts = list(dict.fromkeys(text for row in rows for text in row["positive"] + row["negative"]))
    ids = {text: f"d{number:04d}" for number, text in enumerate(texts)}
    parts = {
        "corpus": [{"_id": ids[text], "title": "", "text": text} for text in texts],
        "queries": [{"_id": f"q{n:02d}", "text": row["query"]} for n, row in enumerate(rows)],
        "default": [
            {"query-id": f"q{n:02d}", "corpus-id": ids[text], "score": 1}
            for n, row in enumerate(rows)
            for text in row["positive"]
        ],
        "top_ranked": [
            {"query-id": f"q{n:02d}", "corpus-ids": [ids[text] for text in row["positive"] + row["negative"]]}
            for n, row in enumerate(rows)
        ],
    }
    header = ["---", "configs:"]
    for name, lines in parts.items():
        io.write_table(hub / name / "test.parquet", pa.Table.from_pylist(lines))
        header += [f"- config_name: {name}", "  data_files:", "  - split: test", f"    path: {name}/test.parquet"]
    (hub / "README.md").write_text("\n".join([*header, "---", ""]), encoding="utf-8")
    write_manifest(tmp_path / "hub.json", source="mteb:AskUbuntuDupQuestions", kind="dataset", path=hub)
    task.run("AskUbuntuDupQuestions", tmp_path / "hub.json", tmp_path / "hub-task.json")
    assert json.loads((tmp_path / "hub-task.json").read_text())["kind"] == "mteb"
    run.run(tmp_path / "hub-task.json", tmp_path / "model.json", "base", 1, tmp_path / "hub-out.json")
    ours, theirs = (json.loads((tmp_path / f"{name}.json").read_text())["metrics"][0] for name in ("table", "hub-out"))
    assert ours["value"] == pytest.approx(theirs["value"], abs=1e-3)
    np.testing.assert_allclose(ours["scores"], theirs["scores"], atol=1e-3)


def _labelled(folder: Path, **splits: int) -> Path:
    """Texts of two classes that differ in their animals; a manifest."""
    rng = np.random.default_rng(5)
    for split, rows in splits.items():
        labels = [number % 2 for number in range(rows)]
        animals = [("cat", "dog")[label] for label in labels]
        texts = [" ".join([*rng.choice(["the", "a", "mat", "tree"], 3), animal]) for animal in animals]
        io.write_table(folder / "data" / f"{split}.parquet", pa.table({"text": texts, "label": labels}))
    write_manifest(folder / "data.json", source="data", kind="dataset", path=folder / "data")
    return folder / "data.json"


@pytest.mark.parametrize(
    ("name", "splits"), [("CR", {"all": 60}), ("SST2", {"train": 60, "validation": 20, "test": 30})]
)
def test_transfer_of_a_separable_task(tmp_path: Path, name: str, splits: dict[str, int]) -> None:
    task.run(
        name,
        _labelled(tmp_path, **splits),
        tmp_path / "task.json",
        module=catalogue.module(name),
        own=[*catalogue.OWN],
    )
    run.run(tmp_path / "task.json", _model(tmp_path), "base", 1, tmp_path / "out.json")
    (metric,) = json.loads((tmp_path / "out.json").read_text())["metrics"]
    assert metric["metric"] == "accuracy"
    assert metric["value"] == 100
    assert len(metric["scores"]) == splits.get("test", 60)


def test_the_space_of_an_encoder_and_its_paraphrases(tmp_path: Path) -> None:
    first = _pairs()["sentence1"]
    pairs = {"sentence1": first, "sentence2": [f"{text} and" for text in first], "score": [5.0, 1.0] * 35}
    io.write_table(tmp_path / "data" / "test.parquet", pa.table(pairs))
    write_manifest(tmp_path / "data.json", source="data", kind="dataset", path=tmp_path / "data")
    found = {}
    for name in ("Representation", "EvalRank"):
        task.run(
            name, tmp_path / "data.json", tmp_path / "task.json", module=catalogue.module(name), own=[*catalogue.OWN]
        )
        run.run(tmp_path / "task.json", _model(tmp_path), "base", 1, tmp_path / f"{name}.json")
        metrics = json.loads((tmp_path / f"{name}.json").read_text())["metrics"]
        found |= {metric["metric"]: metric["value"] for metric in metrics}
    assert set(found) == {"alignment", "uniformity", "effective_rank", "mrr", "hits@1", "hits@3"}
    assert found["alignment"] > 0 > found["uniformity"]
    assert 1 < found["effective_rank"] <= 16
    assert 50 < found["mrr"] <= 100  # one word more is a near paraphrase


def test_evalrank_searches_the_other_splits_too(tmp_path: Path) -> None:
    pairs = _pairs() | {"score": [5.0, 1.0] * 35}
    values = []
    for splits in (("test",), ("test", "train")):
        for split in splits:
            io.write_table(tmp_path / "data" / f"{split}.parquet", pa.table(pairs if split == "test" else _pairs(90)))
        write_manifest(tmp_path / "data.json", source="data", kind="dataset", path=tmp_path / "data")
        task.run("EvalRank", tmp_path / "data.json", tmp_path / "task.json", module="evalrank")
        run.run(tmp_path / "task.json", _model(tmp_path), "base", 1, tmp_path / "out.json")
        values.append(json.loads((tmp_path / "out.json").read_text())["metrics"][0]["value"])
    assert values[1] < values[0]


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("CR", {"text": ["a", "b"], "label": [1, 1]}, "contains only the class 1"),
        ("CR", {"text": ["a", "b"]}, "has no column 'label'; available columns: text."),
        ("SST2", {"text": ["a", "b"], "label": [0, 1]}, r"SST2 needs the split train: "),
        ("CR", {"text": ["a"], "label": [0.5]}, "row 1: the value of 'label' is 0.5, but must be text or an integer"),
        (
            "EvalRank",
            {"sentence1": ["a", "b"], "sentence2": ["b", "c"], "score": [1.0, 2.0]},
            "No pair has a score of 4",
        ),
    ],
)
def test_data_of_own_tasks_that_are_refused(tmp_path: Path, name: str, columns: dict, message: str) -> None:
    io.write_table(tmp_path / "data" / "test.parquet", pa.table(columns))
    write_manifest(tmp_path / "data.json", source="data", kind="dataset", path=tmp_path / "data")
    with pytest.raises(UserError, match=message):
        task.run(
            name, tmp_path / "data.json", tmp_path / "task.json", module=catalogue.module(name), own=[*catalogue.OWN]
        )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The manifest of a transformer without pooling."""
    build_encoder(tmp_path / "encoder")
    open_encoder(tmp_path / "encoder")[0].save(str(tmp_path / "bare"))
    (tmp_path / "bare" / "sentence_bert_config.json").unlink()
    write_manifest(tmp_path / "bare.json", source="bare", kind="model", path=tmp_path / "bare")
    return tmp_path / "bare.json"


def test_a_bare_transformer_is_opened_with_a_pooling_only(tmp_path: Path, prepared: Path, bare: Path) -> None:
    with pytest.raises(UserError, match=r"bare transformer .* base\.pooling"):
        run.run(prepared, bare, "other", 1, tmp_path / "out.json")
    run.run(prepared, bare, "other", 1, tmp_path / "mean.json", pooling="mean")
    run.run(prepared, bare, "other", 1, tmp_path / "cls.json", pooling="cls")
    mean, cls = (json.loads((tmp_path / f"{name}.json").read_text())["metrics"][0] for name in ("mean", "cls"))
    assert mean["predicted"] != cls["predicted"]
