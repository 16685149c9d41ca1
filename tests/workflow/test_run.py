"""A whole run of the miniature: its results, their reproducibility, and resumption after a kill."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
DATA = ("results/seeds/pool.parquet", "results/generate/*.parquet", "results/consolidate/lists.parquet")


def test_it_leaves_every_result_and_prints_the_table(finished) -> None:
    cards = ("encoder/README.md", "cards/refined/7.md", "consolidate/README.md")
    for name in ("encoder/modules.json", "report.html", "scores.csv", "scores.md", "selection.json", *cards):
        assert (finished.path / "results" / name).stat().st_size > 0, name
    log = (finished.path / "run.log").read_text(encoding="utf-8")
    assert (finished.path / "results" / "scores.md").read_text(encoding="utf-8") in log
    assert not list(finished.path.rglob("*.part"))
    assert {p.name for p in finished.path.iterdir()} - {"results", "run.log", ".snakemake"} == {
        *("config.yaml", "sentences.txt", "sentences2.txt", "encoder", "encoder2", "sts", "sts2", "tasks", "tasks2")
    }


def test_it_begins_with_the_machine_and_where_its_progress_is_shown(finished) -> None:
    lines = (finished.path / "run.log").read_text(encoding="utf-8").splitlines()
    (machine,) = (number for number, line in enumerate(lines) if line.startswith("Machine: "))
    assert re.fullmatch(r"Machine: .+, \d threads?\.", lines[machine])  # the fake engine has no dtype, and no speed
    assert lines[machine + 1].startswith("Progress: a line at least every 30 seconds, here and in results/logs/")
    assert machine < next(number for number, line in enumerate(lines) if "Stage 1" in line)
    assert "Machine: " not in finished.snakemake("--dry-run", "--forceall").stderr
    assert "Machine: " not in finished.snakemake("--cores", "1", "--forcerun", "report").stderr  # takes seconds


def test_the_score_table_holds_every_model_on_every_task(finished) -> None:
    with (finished.path / "results" / "scores.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    metrics = ("spearman", "alignment", "uniformity", "effective_rank")
    assert [(row["model"], row["metric"]) for row in rows] == [
        (model, metric) for model in ("base", "refined", "teacher") for metric in metrics
    ]
    value = {(row["model"], row["metric"]): float(row["value"]) for row in rows}
    for row in rows:
        if row["ci_low"]:
            assert float(row["ci_low"]) <= float(row["value"]) <= float(row["ci_high"])
        if row["model"] != "base":
            change = float(row["value"]) - value["base", row["metric"]]
            assert float(row["delta"]) == pytest.approx(change, abs=2e-4)


def test_the_report_holds_every_figure_and_table_without_the_net(finished) -> None:
    page = (finished.path / "results" / "report.html").read_text(encoding="utf-8")
    files = [path.stem for path in (finished.path / "results" / "report").iterdir()]
    assert len(files) == 10
    # it has one training of one experiment, of which a comparison shows nothing
    assert {name for name in files if f'id="{name}-title"' not in page} == {"experiments"}
    assert 'src="http' not in page and 'href="http' not in page


def test_snakemakes_own_report_has_page_figures_and_captions(finished) -> None:
    finished.snakemake("--report", "snakemake.html")
    text = (finished.path / "snakemake.html").read_text(encoding="utf-8")
    for path in (finished.path / "results" / "report").iterdir():
        assert f"results/report/{path.name}" in text, path.name
    assert "results/report.html" in text and "A falling curve means" in text


def test_the_report_of_written_examples_has_their_figures(writing_run: Path) -> None:
    page = (writing_run / "results" / "report.html").read_text(encoding="utf-8")
    for name in ("base_training", "base_scores"):
        assert f'id="{name}-title"' in page, name
    assert "Training examples" in page
    card = (writing_run / "results" / "examples" / "README.md").read_text(encoding="utf-8")
    assert "path: curated.parquet" in card and "`encoder2`" in card


def test_every_artefact_has_a_record(finished) -> None:
    for name in (
        "seeds/pool",
        "generate/00000",
        "consolidate/lists",
        "teacher/*/similarity",
        "refine/refined/7/history",
    ):
        (file,) = (finished.path / "results").glob(f"{name}.json")
        record = json.loads(file.read_text(encoding="utf-8"))
        assert record["config"] and record["versions"]["rankrefine"] and record["seconds"] >= 0, name


def test_the_exported_encoder_opens(finished) -> None:
    from sentence_transformers import SentenceTransformer

    folder = finished.path / "results" / "encoder"
    encoder = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert encoder.encode(["The old sailor sold a heavy book."]).shape == (1, 32)
    types = [module["type"] for module in json.loads((folder / "modules.json").read_text(encoding="utf-8"))]
    assert types == ["sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling"]


def test_the_same_seed_gives_the_same_bytes_and_shards_do_not_depend_on_each_other(finished, fresh) -> None:
    fresh.snakemake("--cores", "1", "consolidate", "results/generate/00001.parquet")
    assert fresh.read(*DATA) == finished.read(*DATA)


@pytest.fixture
def shard(finished) -> Callable[..., subprocess.Popen]:
    """Call it with a name to start the command of a shard of five blocks, which takes a few seconds."""
    config = {"seed": 7, "generate": {"engine": "fake", "rounds": 300, "block_size": 4}}
    command = [
        *(sys.executable, "-m", "rankrefine", "generate", "--config", json.dumps(config)),
        *("--pool", "results/seeds/pool.parquet", "--pool-stats", "results/seeds/pool.json"),
        *("--first", "0", "--rows", "20", "--budget", "20"),
    ]

    def start(name: str) -> subprocess.Popen:
        outputs = ["--output", f"{name}/00000.parquet", "--stats", f"{name}/00000.json"]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        return subprocess.Popen(command + outputs, cwd=finished.path, env=environment, stderr=subprocess.DEVNULL)

    return start


def test_a_shard_that_is_killed_at_random_moments_gives_the_same_bytes_and_keeps_its_blocks(finished, shard) -> None:
    began = time.monotonic()
    assert shard("whole").wait() == 0
    whole = time.monotonic() - began
    moments = random.Random(11)
    blocks: dict[str, int] = {}  # modification times of finished blocks
    kills = 0

    def written() -> dict[str, int]:
        return {file.name: file.stat().st_mtime_ns for file in (finished.path / "killed").glob("*.blocks/*.parquet")}

    while (running := shard("killed")) and kills < 40:
        # the first kill waits for a finished block, so that there is one to lose on a busy machine, too
        while not kills and not written() and running.poll() is None:
            time.sleep(0.01)
        try:
            assert running.wait(timeout=moments.uniform(0.3, 1.1) * whole if kills else 0.0) == 0
            break
        except subprocess.TimeoutExpired:
            running.send_signal(moments.choice([signal.SIGTERM, signal.SIGKILL]))
            running.wait()
            kills += 1
        assert not finished.read("killed/*.parquet", "killed/*.json")
        found = written()
        assert blocks.items() <= found.items(), "a finished block was lost or generated again"
        blocks = found
    assert 1 <= kills < 40
    assert blocks
    made, expected = (finished.read(f"{name}/00000.parquet").popitem()[1] for name in ("killed", "whole"))
    assert made == expected
    assert not (finished.path / "killed" / "00000.blocks").exists()


def test_sigterm_ends_a_shard_with_its_exit_code(finished, shard) -> None:
    running = shard("terminated")
    time.sleep(1)
    running.terminate()
    assert running.wait() == 143
    assert not finished.read("terminated/00000.parquet", "terminated/00000.json")


def test_a_killed_run_goes_on_with_what_is_finished_and_ends_the_same(finished, fresh) -> None:
    """kill -9 of Snakemake and its jobs while shards are generated; then unlock and resume, as `make run` does."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "1", "consolidate"]
    running = subprocess.Popen(
        command, cwd=fresh.path, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(fresh.read("results/generate/*.json")) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    # in order of time: Snakemake may not have recorded the last one as finished
    made = sorted(fresh.path.glob("results/generate/*.json"), key=lambda file: file.stat().st_mtime_ns)
    assert len(made) >= 2
    kept = {file: file.stat().st_mtime_ns for file in made[:-1]}
    fresh.snakemake("--unlock")
    fresh.snakemake("--cores", "2", "--rerun-incomplete", "consolidate")
    assert fresh.read(*DATA) == finished.read(*DATA)
    assert all(file.stat().st_mtime_ns == before for file, before in kept.items())


def test_a_new_experiment_and_a_new_seed_train_nothing_again(finished) -> None:
    trained = finished.path / "results" / "refine" / "refined" / "7" / "history.json"
    before = trained.stat().st_mtime_ns
    finished.configure("refine.experiments", {"refined": {}, "fused": {"target": "borda", "omega": 1}})
    finished.configure("refine.seeds", [7, 8])
    finished.snakemake("--cores", "2")
    assert trained.stat().st_mtime_ns == before
    rows = [line.split("|")[1:3] for line in (finished.path / "results" / "experiments.md").read_text().splitlines()]
    assert sorted((row[0].strip("* "), row[1].strip()) for row in rows[2:4]) == [("fused", "2"), ("refined", "2")]
    chosen = json.loads((finished.path / "results" / "selection.json").read_text(encoding="utf-8"))
    assert len(chosen["candidates"]) == 4
    assert "best mean of 2 experiments" in chosen["why"]


def test_a_bare_transformer_becomes_an_encoder_and_its_own_teacher(fresh) -> None:
    """Triplets and two guides train it with a head that is kept, then the refinement of that encoder."""
    folder = fresh.path / "encoder"
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "1_Pooling")
    texts = (fresh.path / "sentences.txt").read_text(encoding="utf-8").splitlines()
    rows = [",".join(texts[i : i + 3]) for i in range(0, 60, 3)]
    (fresh.path / "triplets.csv").write_text("anchor,positive,negative\n" + "\n".join(rows), encoding="utf-8")
    settings = {"objective": "masked_contrastive", "pooling": "cls_head", "data": "triplets.csv", "batch_size": 8}
    settings |= {"guide": {"encoder": 1, "encoder2": 3}, "guide_pooling": "mean"}
    fresh.configure("base", {"model": "encoder"} | settings)
    fresh.configure("refine.teacher", "base")
    fresh.snakemake("--cores", "2", "results/selection.json")
    made = json.loads((fresh.path / "results/base/history.json").read_text(encoding="utf-8"))
    trained = json.loads((fresh.path / "results/refine/refined/7/history.json").read_text(encoding="utf-8"))
    assert made["examples"] == made["negatives"] == 20
    assert [(guide["model"], guide["weight"]) for guide in made["guides"]] == [("encoder", 0.25), ("encoder2", 0.75)]
    assert trained["base"]["model"] == trained["teachers"][0]["model"] == "base:encoder"
    modules = json.loads((fresh.path / "results/encoder/modules.json").read_text(encoding="utf-8"))
    assert [module["type"].rpartition(".")[2] for module in modules] == ["Transformer", "Pooling", "Dense"]


def test_imported_lists_are_refined_without_seeds_and_a_language_model(fresh) -> None:
    """The published format: a table with one Python list literal per row."""
    texts = (fresh.path / "sentences.txt").read_text(encoding="utf-8").splitlines()
    made = [texts[i : i + 4] for i in range(0, 40, 4)]
    rows = [str(sentences) for sentences in made] + ["__import__('os').system('touch x')"]
    with (fresh.path / "lists.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["list_sent"], *([row] for row in rows)])
    fresh.configure("lists", {"source": "import", "file": "lists.csv"})
    fresh.configure("seeds", {"sources": [{"name": "gone", "source": "gone.txt"}], "decontaminate": []})
    fresh.configure("generate", {"engine": "transformers", "model": "gone", "shard_size": 2})
    target = "results/refine/refined/7/model.json"
    planned = fresh.planned(target)
    assert planned == {"import_lists": 1, "consolidate": 1, "base": 1, "teacher": 1, "refine": 1}
    fresh.snakemake("--cores", "2", target)
    assert not (fresh.path / "x").exists()
    kept = pq.read_table(fresh.path / "results/consolidate/lists.parquet")
    assert kept["sentences"].to_pylist() == made
    assert set(kept["model"].to_pylist()) == {"lists.csv"}
    record = json.loads((fresh.path / "results/lists/pool.json").read_text(encoding="utf-8"))
    assert (record["read"], record["kept"], record["dropped"]["not a list"]) == (11, 10, 1)
    trained = json.loads((fresh.path / "results/refine/refined/7/history.json").read_text(encoding="utf-8"))
    assert trained["lists"] == 10
    assert fresh.planned(target) == {}
