"""The report from fabricated records of a run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
import torch

from rankrefine import config, io, report
from rankrefine.errors import UserError
from rankrefine.refine import embeddings, similarity
from rankrefine.refine import lists as ranking_lists
from rankrefine.report import figures, pages
from rankrefine.report.data import join_shards

FILES = {
    *("scores.html", "scores.svg", "similarity.svg", "drops.html", "drops.svg", "training.svg"),
    "experiments.svg",
    *("lists.html", "provenance.html"),
}
EVIL = '<script>alert("1 & 2")</script>'


def setting(count: int = 6, examples: int = 2) -> dict:
    parts = {"seeds": {"count": count}, "generate": {"shard_size": 4}, "report": {"examples": examples}}
    return config.complete(parts)


def fabricate(folder: Path, count: int = 6, ranks: int = 4, steps: int = 20, improved: bool = True) -> Path:
    """The records of a run that never took place: `count` lists with `ranks` rewrites."""
    made = {"versions": {"python": "3.11.7", "torch": "2.13.0"}, "seconds": 1.5}
    # as a stage records it that was given only its own keys: the others stand there with their defaults
    given = {"sources": [{"name": "nyt", "source": "embedded:vader"}], "count": 320}
    seeds = {"seeds": given, "refine": {"omega": 77.0}, "generate": {"shard_size": 80}}
    dropped = {"too_long": 30, "near_duplicate": 10, "pattern": 0}
    examples = {"too_long": [f"A sentence {EVIL}"], "near_duplicate": ["It is.", "It was."]}
    pool = {"read": 100, "kept": 60, "dropped": dropped, "examples": examples, "config": seeds} | made
    io.write_json(folder / "seeds" / "pool.json", pool)
    _shards(folder, count, made)
    lists = {"read": count, "kept": count - 1, "dropped": {"given up: repeat": 1}, "examples": {}, "config": {}}
    io.write_json(folder / "consolidate" / "lists.json", lists | made)
    _lists(folder, count, ranks, made)
    _training(folder / "refine" / "refined" / "2024" / "history.json", steps, improved, made)
    rows = ["model,task,metric,value,ci_low,ci_high", "base,STSBenchmark,spearman,82.0325,79.85,84.02"]
    rows += ["refined,STSBenchmark,spearman,82.6611,80.5,84.6", "refined,STSBenchmark,delta,0.6286,0.12,1.14"]
    (folder / "scores.csv").write_text("\n".join(rows) + "\n")
    scores = (("refined", 2024, 87.15), ("refined", 1, 87.25), ("weak", 1, 86.42))
    candidates = [
        {"name": name, "seed": seed, "development": score, "base_development": 86.72} for name, seed, score in scores
    ]
    chosen = {"chosen": "refined/2024", "why": "the only candidate", "candidates": candidates}
    io.write_json(folder / "selection.json", chosen)
    return folder


def _shards(folder: Path, count: int, made: dict) -> None:
    for first in range(0, count, 4):
        read = min(4, count - first)
        counts = {"read": read, "kept": read - (first == 0), "dropped": {"repeat": 1} if first == 0 else {}}
        model = {"model": "embedded:smollm2-135m-instruct", "revision": "0.1.2", "device": "cpu", "dtype": "bfloat16"}
        prompt = {"prompt": "few_shot", "prompt_sha256": "ab" * 32, "prompt_text": f"user: Rewrite. {EVIL}"}
        speed = {"tokens": 900 * read, "redraws": 3, "tokens_per_second": 120.0}
        more = {"sampling": {"temperature": 0.8}, "config": {"generate": {"rounds": 4}}}
        io.write_json(folder / "generate" / f"{first // 4:05d}.json", counts | model | prompt | speed | more | made)


def _lists(folder: Path, count: int, ranks: int, made: dict) -> None:
    rng = np.random.default_rng(0)
    sentences = [[f"Sentence {i} at rank {rank} {EVIL}" for rank in range(ranks + 1)] for i in range(count - 1)]
    columns = {"seed_id": [f"{i:016x}" for i in range(count - 1)], "sentences": sentences}
    io.write_table(folder / "consolidate" / "lists.parquet", pa.table(columns))
    vectors = []
    for _ in sentences:
        vectors.append(rng.normal(size=32))
        for _ in range(ranks):
            vectors.append(0.85 * vectors[-1] + 0.55 * np.linalg.norm(vectors[-1]) * rng.normal(size=32) / 32**0.5)
    unit = np.array([vector / np.linalg.norm(vector) for vector in vectors], dtype=np.float32)
    found = ranking_lists.read(folder / "consolidate" / "lists.parquet")
    named = {"model": "embedded:all-minilm-l6-v2", "revision": "0.1.0"}
    embeddings.write(folder / "teacher" / "embeddings.safetensors", torch.tensor(unit), found, named)
    summary = similarity.statistics(similarity.to_seed(unit, found.sizes))
    io.write_json(folder / "teacher" / "similarity.json", {"teacher": named, "lists": count - 1} | summary | made)


def _training(path: Path, steps: int, improved: bool, made: dict) -> None:
    rng = np.random.default_rng(1)
    losses = [
        {
            "step": i + 1,
            "loss": 1.5 + 0.5 * np.exp(-i / 50) + 0.2 * rng.normal(),
            "learning_rate": 2e-5 * (1 - i / steps),
        }
        for i in range(steps)
    ]
    every = max(1, steps // 6)
    curve = [{"step": step, "score": 86.72 + 0.43 * (step / steps) ** 0.5} for step in range(0, steps + 1, every)]
    best = curve[-1] if improved else curve[0]
    fields = {"name": "refined", "seed": 2024, "base_development": 86.72, "improved": improved, "steps": losses}
    kept = {"best_step": best["step"], "best_development": best["score"], "development": curve}
    origin = {
        "base": {"model": "embedded:all-minilm-l6-v2", "revision": "0.1.0"},
        "config": {"refine": {"omega": 2.0}},
    }
    data = {"development_data": {"source": "embedded:stsb", "revision": "1.0.3"}}
    io.write_json(path, fields | kept | origin | data | made)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return fabricate(tmp_path / "results")


@pytest.fixture
def written(results: Path, tmp_path: Path) -> Path:
    report.run(setting(), results, results / "teacher", tmp_path / "report")
    return tmp_path / "report"


def test_all_files_are_written_and_stand_alone(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == FILES
    for path in written.iterdir():
        text = path.read_text(encoding="utf-8")
        links = set(re.findall(r"https?://[^\s\"'<>]+", text))
        names = {
            link
            for link in links
            if not re.match(r"https?://(www\.w3\.org|purl\.org|creativecommons|matplotlib)", link)
        }
        assert names == set(), path  # nothing is loaded; SVG names its XML vocabularies
        assert path.stat().st_size < 70_000


def test_same_input_same_bytes(written: Path, results: Path, tmp_path: Path) -> None:
    report.run(setting(), results, results / "teacher", tmp_path / "again")
    for path in written.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_what_models_write_is_escaped(written: Path) -> None:
    for path in written.glob("*.html"):
        assert "<script" not in path.read_text(encoding="utf-8")
    for name in ("lists.html", "drops.html", "provenance.html"):
        assert "&lt;script&gt;alert(&#34;1 &amp; 2&#34;)" in (written / name).read_text(encoding="utf-8")


def test_figures_are_svg_and_show_their_numbers(written: Path) -> None:
    texts = {}
    for path in written.glob("*.svg"):
        root = ElementTree.parse(path).getroot()
        texts[path.name] = "|".join(node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text"))
    for name, parts in {
        "scores.svg": ["82.03", "82.66", "+0.63", "Spearman × 100 on STSBenchmark", "refined"],
        "drops.svg": ["Seed sentences: 60 of 100 kept", "too long", "30 (30.0 %)", "Ranking lists: 5 of 6 kept"],
        "experiments.svg": ["+0.48", "-0.30", "refined", "weak", "gain on the base"],
        "training.svg": ["kept: step 18", "training loss", "base"],
        "similarity.svg": ["teacher cosine to the seed", "10 to 90 % of lists", "in the generated order: "],
    }.items():
        for part in parts:
            assert part in texts[name], (name, part)
    assert "pattern" not in texts["drops.svg"]  # a reason that never occurred takes no room


def test_pages_show_their_numbers(written: Path) -> None:
    pages = {path.name: " ".join(path.read_text(encoding="utf-8").split()) for path in written.glob("*.html")}
    for part in ("82.66", "+0.63", "+0.12 to +1.14", "the only candidate"):
        assert part in pages["scores.html"]
    for part in ("30.0 %", "near duplicate", "It was.", "given up: repeat", "2 shown"):
        assert part in pages["drops.html"]
    shown = (
        "few_shot",
        "ab" * 32,
        "embedded:vader",
        "refine.omega",
        "2 shards, 5,400 tokens, 1,800 tokens/s",
        "2.13.0",
    )
    for part in shown:
        assert part in pages["provenance.html"], part


def test_parameters_are_those_that_were_used(written: Path) -> None:
    text = (written / "provenance.html").read_text(encoding="utf-8")
    found = dict(re.findall(r"<code>([\w.]+)</code></td><td><code>(.*?)</code>", text))
    expected = {"seeds.count": "6", "generate.shard_size": "4", "refine.omega": "2.0", "generate.rounds": "4"}
    assert {key: found[key] for key in expected} == expected


def test_example_lists(written: Path) -> None:
    text = (written / "lists.html").read_text(encoding="utf-8")
    assert text.count("<table>") == 2  # report.examples
    assert text.count("<tr") == 2 * 5
    assert re.findall(r">(\d\.\d\d)</td>", text)[0] == "1.00"
    assert "Sentence 1 at rank 4" in text
    assert "Sentence 2 at" not in text


def test_a_rise_against_the_generated_order_is_marked() -> None:
    rows = pages._list_rows([("seed", 1.0), ("b", 0.4), ("c", 0.6), ("d", 0.1)])
    assert [row["rises"] for row in rows] == [False, False, True, False]


def test_shades_go_from_orange_to_blue() -> None:
    assert pages.shade(-0.3) == pages.shade(0.0) == "rgb(230 159 0 / 40%)"
    assert pages.shade(1.0) == "rgb(0 114 178 / 40%)"


def test_training_that_did_not_help(tmp_path: Path) -> None:
    report.run(
        setting(), fabricate(tmp_path / "results", improved=False), tmp_path / "results/teacher", tmp_path / "report"
    )
    assert "kept: the base itself" in (tmp_path / "report" / "training.svg").read_text(encoding="utf-8")


def test_a_long_training_makes_a_small_figure(tmp_path: Path) -> None:
    report.run(
        setting(), fabricate(tmp_path / "results", steps=20_000), tmp_path / "results/teacher", tmp_path / "report"
    )
    assert (tmp_path / "report" / "training.svg").stat().st_size < 70_000


def test_thin_keeps_the_mean() -> None:
    values = np.arange(1000, dtype=float)
    assert figures.thin(values, 10).tolist() == [49.5 + 100 * i for i in range(10)]
    assert figures.thin(values[:3], 10).tolist() == [0, 1, 2]
    assert figures.thin(values[:0], 10).size == 0


def test_rolling_means_have_constant_width() -> None:
    assert figures.rolling(np.array([1.0, 2.0, 6.0, 0.0]), 2).tolist() == [1.5, 4.0, 3.0]
    assert figures.rolling(np.array([1.0, 2.0]), 1).tolist() == [1, 2]
    assert figures.rolling(np.array([]), 1).size == 0


def test_shards_are_summed_and_differences_show() -> None:
    shard = {"read": 4, "kept": 3, "dropped": {"repeat": 1}, "tokens": 10, "seconds": 2.0, "prompt": "few_shot"}
    joined = join_shards([shard | {"device": "cpu"}, shard | {"device": "GPU", "dropped": {"repeat": 1, "empty": 2}}])
    assert (joined["read"], joined["kept"], joined["tokens"], joined["seconds"]) == (8, 6, 20, 4.0)
    assert joined["dropped"] == {"repeat": 2, "empty": 2}
    assert joined["machines"] == [("cpu", ""), ("GPU", "")]
    assert [prompt[0] for prompt in joined["prompts"]] == ["few_shot"]


def test_shards_that_the_config_does_not_declare_are_not_read(results: Path, tmp_path: Path) -> None:
    (results / "generate" / "00002.json").write_text("of an earlier, larger run")
    report.run(setting(), results, results / "teacher", tmp_path / "report")


@pytest.mark.parametrize(
    "name",
    [
        "seeds/pool.json",
        "generate/00001.json",
        "consolidate/lists.json",
        "consolidate/lists.parquet",
        "teacher/embeddings.safetensors",
        "teacher/similarity.json",
        "refine/refined/2024/history.json",
        "scores.csv",
        "selection.json",
    ],
)
def test_a_missing_file_is_named(results: Path, tmp_path: Path, name: str) -> None:
    (results / name).unlink()
    with pytest.raises(UserError, match=f"There is no file .*{name}"):
        report.run(setting(), results, results / "teacher", tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("scores.csv", "model,task\nbase,X\n", "is not a score table"),
        ("seeds/pool.json", json.dumps({"read": 1}), "pool.json has no 'kept'"),
        ("selection.json", "{", "selection.json is not valid JSON"),
    ],
)
def test_a_damaged_file_is_named(results: Path, tmp_path: Path, name: str, text: str, message: str) -> None:
    (results / name).write_text(text)
    with pytest.raises(UserError, match=message):
        report.run(setting(), results, results / "teacher", tmp_path / "report")
