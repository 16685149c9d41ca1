"""Figures and page of the report, from fabricated records of a run."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import markupsafe
import numpy as np
import pyarrow as pa
import pytest
import torch

from rankrefine import io
from rankrefine.config.load import complete
from rankrefine.errors import UserError
from rankrefine.ranking_lists import lists as ranking_lists
from rankrefine.ranking_lists import similarity_to_seed as similarity
from rankrefine.ranking_lists import teacher_embeddings as embeddings
from rankrefine.refine.targets import targets
from rankrefine.report import run as report
from rankrefine.report import tables, target_order, timings
from rankrefine.report.collect import collect, join_shards
from rankrefine.report.contents import CONTENTS
from rankrefine.report.figures import lists, style, training
from rankrefine.report.headline import headline, short_name
from rankrefine.score_table import COLUMNS

TARGET = {"target": "profile", "omega": 2.0, "tau_teacher": 0.05, "loss": "list_mle", "tau": 0.02}
MODEL = {"model": "embedded:all-minilm-l6-v2", "revision": "0.1.0"}
SEEDS = {"refined": (2024, 1), "weak": (1,)}
EVIL = '<script>alert("1 & 2")</script>'


def configuration(count: int = 6, examples: int = 2) -> dict:
    parts = {"seeds": {"count": count}, "generate": {"shard_size": 4}, "report": {"examples": examples}}
    return complete(parts)


def fabricate(folder: Path, count: int = 6, ranks: int = 4, steps: int = 20, improved: bool = True) -> Path:
    """Write records as of a run: `count` lists with `ranks` rewrites."""
    provenance = {"versions": {"python": "3.11.7", "torch": "2.13.0"}, "seconds": 1.5}
    seeds = {"seeds": {"sources": [{"name": "nyt", "source": "embedded:vader"}]}}
    dropped = {"does not match require_pattern": 30, "near duplicate": 10, "empty": 0}
    examples = {"does not match require_pattern": [f"A {EVIL}"], "near duplicate": ["It is.", "It was."]}
    pool = {"read": 100, "kept": 60, "dropped": dropped, "examples": examples, "config": seeds} | provenance
    io.write_json(folder / "seeds" / "pool.json", pool)
    _shards(folder, count, provenance)
    lists = {"read": count, "kept": count - 1, "dropped": {"given up: repeat": 1}, "examples": {}, "config": {}}
    io.write_json(folder / "consolidate" / "lists.json", lists | provenance)
    _lists(folder, count, ranks, provenance)
    for name, seeds in SEEDS.items():
        for seed in seeds:
            config = TARGET if name == "refined" else TARGET | {"target": "teacher"}
            _training(folder / "refine" / name / str(seed) / "history.json", steps, improved, provenance, config)
    _scores(folder / "scores.csv")
    scores = (("refined", 2024, 87.15), ("refined", 1, 87.25), ("weak", 1, 86.42))
    candidates = [
        {"name": name, "seed": seed, "development": score, "base_development": 86.72} for name, seed, score in scores
    ]
    chosen = {"chosen": "refined/2024", "why": "the better mean", "candidates": candidates}
    io.write_json(folder / "selection.json", chosen)
    for task, found in (("STSBenchmark", 0), ("Representation", 2)):
        record = {
            "task": task,
            "decontaminated": not found,
            "warning": "",
            "seeds": 6,
            "found": found,
            "examples": [f"In it. {EVIL}"],
        }
        io.write_json(folder / "overlap" / f"{task}.json", record)
    io.write_json(folder / "evaluate" / "base" / "STSBenchmark.json", {"threads": 2, "device": "cpu"} | provenance)
    io.write_text(folder / "benchmarks" / "seeds.tsv", "s\th:m:s\tmax_rss\tcpu_time\n2.80\t0:00:02\t224.50\t7200\n")
    io.write_text(folder / "benchmarks" / "refine" / "refined" / "1.tsv", "s\tmax_rss\tcpu_time\n90\t-\tNA\n")
    return folder


def _scores(path: Path) -> None:
    """Write scores of the base, an experiment of two seeds, one of one seed, and another encoder."""
    rows = [
        ["base", 1, "STSBenchmark", "all", "spearman", 1379, 82.0325, "", 79.85, 84.02],
        ["refined", 2, "STSBenchmark", "all", "spearman", 1379, 82.6611, 0.1, 80.5, 84.6, 0.6286, 0.1, 0.12, 1.14],
        ["refined/2024", 1, "STSBenchmark", "all", "spearman", 1379, 82.73, "", 80.6, 84.7, 0.7, "", 0.2, 1.2],
        ["refined/1", 1, "STSBenchmark", "all", "spearman", 1379, 82.59, "", 80.4, 84.5, 0.56, "", 0.0, 1.0],
        ["weak", 1, "STSBenchmark", "all", "spearman", 1379, 81.8, "", 79.6, 83.9, -0.2325, "", -0.9, 0.4],
        ["base", 1, "STSBenchmark", "main-news", "spearman", 500, 80.0, "", 78.0, 82.0],
        ["refined", 2, "STSBenchmark", "main-news", "spearman", 500, 79.0, 0.2, 77.0, 81.0, -1.0, 0.2, -1.5, -0.5],
        ["other", 1, "STSBenchmark", "all", "spearman", 1379, 70.0, "", 68.0, 72.0, -12.03, "", -13.0, -11.0],
    ]
    for model, alignment, uniformity in (("base", 0.21, -2.93), ("refined", 0.2, -2.95), ("refined/1", 0.205, -2.94)):
        for metric, value in (("alignment", alignment), ("uniformity", uniformity)):
            row = [model, 2 if model == "refined" else 1, "Representation", "all", metric, 1379, value]
            rows.append([*row, *[""] * 7, False])
    lines = [",".join(COLUMNS), *(",".join(map(str, row + [""] * (len(COLUMNS) - len(row)))) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _shards(folder: Path, count: int, provenance: dict) -> None:
    for first in range(0, count, 4):
        read = min(4, count - first)
        counts = {"read": read, "kept": read - (first == 0), "dropped": {"repeat": 1} if first == 0 else {}}
        model = {"model": "embedded:smollm2-135m-instruct", "revision": "0.1.2", "device": "cpu", "dtype": "bfloat16"}
        prompt = {"prompt": "few_shot", "prompt_sha256": "ab" * 32, "prompt_text": f"user: Rewrite. {EVIL}"}
        speed = {"tokens": 900 * read, "redraws": 3, "tokens_per_second": 120.0}
        more = {"sampling": {"temperature": 0.8}, "config": {"generate": {"rounds": 4}}}
        io.write_json(
            folder / "generate" / f"{first // 4:05d}.json", counts | model | prompt | speed | more | provenance
        )


def _lists(folder: Path, count: int, ranks: int, provenance: dict) -> None:
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
    lists = ranking_lists.read(folder / "consolidate" / "lists.parquet")
    embeddings.write(folder / "teacher" / "minilm" / "embeddings.safetensors", torch.tensor(unit), lists, MODEL)
    summary = similarity.statistics(similarity.to_seed(unit, lists.sizes))
    record = {"teacher": MODEL, "lists": count - 1, "sentences": sum(lists.sizes)}
    io.write_json(folder / "teacher" / "minilm" / "similarity.json", record | summary | provenance)


def _training(path: Path, steps: int, improved: bool, provenance: dict, config: dict) -> None:
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
        "base": MODEL,
        "teachers": [MODEL | {"weight": 1.0}],
        "config": {"refine": config},
    }
    data = {"development_data": {"source": "embedded:stsb", "revision": "1.0.3"}}
    io.write_json(path, fields | kept | origin | data | provenance)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return fabricate(tmp_path / "results")


@pytest.fixture
def written(results: Path, tmp_path: Path) -> Path:
    """The folder with the figures."""
    report.run(configuration(), results, results / "teacher" / "minilm", tmp_path / "report", tmp_path / "report.html")
    return tmp_path / "report"


@pytest.fixture
def page(written: Path) -> str:
    """The text of the page, with single spaces."""
    return joined(written.with_suffix(".html"))


def joined(path: Path) -> str:
    return " ".join(path.read_text(encoding="utf-8").split())


def test_a_warning_about_overlap_is_beside_the_result(results: Path, page: str, tmp_path: Path) -> None:
    file = results / "overlap" / "Representation.json"
    assert "Warning" not in page
    io.write_json(file, io.read_json(file) | {"decontaminated": True, "warning": f"2 seeds are in it {EVIL}."})
    report.run(configuration(), results, results / "teacher" / "minilm", tmp_path / "again", tmp_path / "again.html")
    text = joined(tmp_path / "again.html")
    assert text.count(f'<p class="warning">Warning: 2 seeds are in it {markupsafe.escape(EVIL)}.</p>') == 1
    assert text.index("Warning:") < text.index("<h2")


def test_all_files_are_written_and_self_contained(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == {item.file for item in CONTENTS if not item.needs}
    assert len(list(written.iterdir())) == 9
    for path in (*written.iterdir(), written.with_suffix(".html")):
        text = path.read_text(encoding="utf-8")
        links = set(re.findall(r"https?://[^\s\"'<>]+", text))
        assert {link for link in links if not re.match(r"https?://www\.w3\.org", link)} == set(), path
        assert path.stat().st_size < (70_000 if path.suffix == ".svg" else 300_000)


def test_same_input_same_bytes(written: Path, results: Path, tmp_path: Path) -> None:
    report.run(configuration(), results, results / "teacher" / "minilm", tmp_path / "again", tmp_path / "again.html")
    assert written.with_suffix(".html").read_bytes() == (tmp_path / "again.html").read_bytes()
    for path in written.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_text_by_models_is_escaped(page: str) -> None:
    assert page.count("<script") == 1  # the page's own
    escaped = "&lt;script&gt;alert(&#34;1 &amp; 2&#34;)"
    parts = re.split("<section", page)
    assert [re.search(r'id="(\w+)"', part)[1] for part in parts[1:] if escaped in part] == [
        *("scores", "lists", "drops", "provenance")
    ]


def test_figures_are_svg_and_show_their_numbers(written: Path) -> None:
    texts = {}
    for path in written.glob("*.svg"):
        root = ElementTree.parse(path).getroot()
        texts[path.name] = "|".join(node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text"))
    for name, parts in {
        "differences.svg": ["+0.63", "-1.00", "STSBenchmark", "news", "(Spearman × 100)"],
        "models.svg": ["+0.63", "-0.23", "-12.03", "refined", "weak", "other"],
        "representation.svg": ["alignment (lower is better)", "uniformity (lower is better)", "base", "refined"],
        "drops.svg": [
            "raw sentences",
            "60  (60.0 % of the line above)",
            "does not match require_pattern",
            "−30  (30.0 %)",
            "given up: repeat",
        ],
        "experiments.svg": ["+0.48 ± 0.07", "-0.30", "refined", "weak", "gain on the base"],
        "training.svg": ["exported: step 18", "base", "refined", "weak"],
        "similarity.svg": [
            "teacher cosine to the seed",
            "10 to 90 % of lists",
            "in the generated order: ",
            "perfectly",
        ],
        "target_order.svg": ["(profile, ω 2)", "(teacher)", "as generated", "as the teacher"],
        "timings.svg": ["seeds", "2.8 s", "refine", "in 3 jobs"],
    }.items():
        for part in parts:
            assert part in texts[name], (name, part)
    assert "empty" not in texts["drops.svg"]  # a reason that never occurred takes no room


def test_the_page_shows_its_numbers(page: str) -> None:
    for part in (
        *("<h1", "Refinement gains 0.63 points on STSBenchmark", "<b>+0.63</b>", "82.03 → 82.66 Spearman × 100"),
        *(
            "95 % interval +0.12 to +1.14",
            "Mean of 2 training seeds, measured on 1,379 test examples",
            "excludes zero",
        ),
        *("82.66 ± 0.10", "+0.63 ± 0.10", "+0.12 to +1.14", "the better mean", "STSBenchmark: news", "2 of 6"),
        *(
            "2.8 s",
            "2.000",
            "≈ 0.001",
            "sentences/s",
            "tokens/s",
            "30.0 %",
            "does not match require_pattern",
            "It was.",
        ),
        *("given up: repeat", "2 examples", "few_shot", "ab" * 32, "embedded:vader", "refine.omega", "2.13.0"),
        *("2 shards, 5,400 tokens, 1,800 tokens/s", "+0.48 ± 0.07", "87.20 ± 0.07", "&#34;profile&#34;"),
    ):
        assert part in page, part


def test_rows_say_whether_they_are_better_or_worse(results: Path) -> None:
    records = collect(configuration(), results, results / "teacher" / "minilm")
    changes = {
        (group["genre"], row["name"]): row["change"]
        for by_genre in (False, True)
        for group in tables.scores(records, by_genre)
        for row in group["rows"]
        if group["task"] == "STSBenchmark"
    }
    assert changes["all", "refined"] == "better" and changes["all", "other"] == changes["news", "refined"] == "worse"
    assert changes["all", "weak"] == changes["all", "base"] == ""
    lower = replace(records.scores[1], higher=False)
    assert tables._score_row(lower, records)["change"] == "worse"


def test_experiments_show_the_keys_that_differ(results: Path) -> None:
    table = tables.experiments(collect(configuration(), results, results / "teacher" / "minilm"))
    assert [(row["name"], row["settings"]) for row in table["rows"]] == [
        ("refined", ['"profile"']),
        ("weak", ['"teacher"']),
    ]
    assert table["differing"] == ["target"]


def test_parameters_are_those_that_were_used(page: str) -> None:
    shown = dict(re.findall(r"<code>([\w.]+)</code></th><td><code>(.*?)</code>", page))
    expected = {"seeds.count": "6", "generate.shard_size": "4", "refine.omega": "2.0", "generate.rounds": "4"}
    assert {key: shown[key] for key in expected} == expected


def test_example_lists(page: str) -> None:
    section = page.partition('<section id="lists"')[2].partition("</section>")[0]
    assert section.count("<table") == section.count("<details") == 2  # report.examples
    assert section.count("<tr") == 2 * 6
    assert re.findall(r">(\d\.\d\d) ", section)[0] == "1.00"
    assert "Sentence 1 at rank 4" in section and "Sentence 2 at" not in section


def test_a_list_shows_similarity_and_both_orders() -> None:
    made = tables._list(3, [("the seed", 1.0), ("b", 0.4), ("c", 0.6), ("d", 0.1)])
    assert [row["rises"] for row in made["rows"]] == [False, False, True, False]
    assert [row["teacher"] for row in made["rows"]] == [0, 2, 1, 3]
    assert (made["in_order"], made["name"]) == (2, "3. the seed")
    assert len(tables._list(1, [("word " * 50, 1.0)])["name"]) < 80


def test_training_that_did_not_help(tmp_path: Path) -> None:
    report.run(
        configuration(),
        fabricate(tmp_path / "results", improved=False),
        tmp_path / "results/teacher/minilm",
        tmp_path / "report",
        tmp_path / "report.html",
    )
    assert "exported: the base itself" in (tmp_path / "report" / "training.svg").read_text(encoding="utf-8")


def test_a_long_training_makes_a_small_figure(tmp_path: Path) -> None:
    report.run(
        configuration(),
        fabricate(tmp_path / "results", steps=20_000),
        tmp_path / "results/teacher/minilm",
        tmp_path / "report",
        tmp_path / "report.html",
    )
    assert (tmp_path / "report" / "training.svg").stat().st_size < 70_000


def test_thin_keeps_the_mean() -> None:
    values = np.arange(1000, dtype=float)
    assert training.thin(values, 10).tolist() == [49.5 + 100 * i for i in range(10)]
    assert training.thin(values[:3], 10).tolist() == [0, 1, 2]
    assert training.thin(values[:0], 10).size == 0


def test_rolling_means_have_constant_width() -> None:
    assert training.rolling(np.array([1.0, 2.0, 6.0, 0.0]), 2).tolist() == [1.5, 4.0, 3.0]
    assert training.rolling(np.array([1.0, 2.0]), 1).tolist() == [1, 2]
    assert training.rolling(np.array([]), 1).size == 0


def test_every_name_has_a_look_of_its_own_and_the_chosen_one_is_blue() -> None:
    names = [f"experiment {i}" for i in range(20)]
    looks = style.looks(names, "experiment 7")
    assert set(looks) == set(names) and len(set(looks.values())) == 20
    assert [name for name, look in looks.items() if look.color == style.BLUE] == ["experiment 7"]


def test_lists_in_perfect_order_are_their_own_ideal() -> None:
    falling = torch.tensor([1.0, 0.9, 0.5, -0.2])
    rows = torch.stack([falling, (1 - falling**2).sqrt()], dim=1)
    longer = torch.stack([torch.cos(torch.arange(6) * 0.3), torch.sin(torch.arange(6) * 0.3)], dim=1)
    for mixed in (rows, rows[[0, 2, 3, 1]]):
        np.testing.assert_allclose(target_order.ideal([mixed]), falling, atol=1e-6)
    both = target_order.ideal([rows, longer])
    assert len(both) == 6  # ranks that one list alone reaches are that list's
    np.testing.assert_allclose(both[4:], np.cos([1.2, 1.5]), atol=1e-6)
    assert target_order.ideal([rows, longer[[0, 3, 1, 5, 4, 2]]]) == pytest.approx(both)


def unit(lists: list[int], seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.functional.normalize(torch.randn(size, 16, generator=generator), dim=-1) for size in lists]


def test_agreement_is_one_with_the_order_of_the_target_and_one_half_with_the_other_by_chance() -> None:
    teacher = unit([9] * 200)
    generated = target_order.agreement("a", TARGET | {"target": "generated"}, teacher)
    alone = target_order.reference(teacher)
    assert generated.generated == 1 and generated.by_rank == [1] * 9
    assert alone.teacher == 1
    assert generated.teacher == pytest.approx(0.5, abs=0.02)
    assert alone.generated == pytest.approx(0.5, abs=0.02)
    between = target_order.agreement("b", TARGET | {"target": "borda", "omega": 1.0}, teacher)
    assert 0.5 < between.generated < 1 and 0.5 < between.teacher < 1
    assert (generated.target, between.target) == ("generated", "borda, ω 1")


def test_shares_count_the_pairs_of_each_list_by_itself() -> None:
    teacher = unit([3, 6, 4], seed=1)
    together = [torch.tensor([len(rows) for rows in part]) for part in (teacher, *([rows] for rows in teacher))]
    parts = [teacher, *([rows] for rows in teacher)]
    counts = [
        target_order.pair_counts(targets(part, 0.05, 1.0, "borda"), targets(part, 0.05, 1.0, "teacher"), sizes)
        for part, sizes in zip(parts, together, strict=True)
    ]
    padded = torch.zeros_like(counts[0])
    for part in counts[1:]:
        padded[:, : part.shape[1]] += part
    assert torch.equal(counts[0], padded)
    # by hand, of 3 sentences: row 1 has neighbours at equal distance, which the generated order does not rank
    assert counts[1][1].tolist() == [1, 0, 1]


def test_time_comes_from_the_benchmark_file_or_else_from_the_record(tmp_path: Path) -> None:
    record = {"seconds": 10.0, "threads": 4, "device": "cpu"}
    assert timings.job(record, tmp_path / "none.tsv") == timings.Job(10.0, None, 40.0, False, 0.0)
    (tmp_path / "some.tsv").write_text("s\th:m:s\tmax_rss\tcpu_time\n12.5\t0:00:12\t300\t31.5\n")
    assert timings.job(record, tmp_path / "some.tsv") == timings.Job(12.5, 300.0, 31.5, True, 0.0)
    (tmp_path / "short.tsv").write_text("s\th:m:s\tmax_rss\tcpu_time\n0.1\t0:00:00\t-\tNA\n")
    gpu = timings.job({"seconds": 10.0, "device": "NVIDIA H100"}, tmp_path / "short.tsv")
    assert gpu == timings.Job(0.1, None, None, False, 0.1)


def test_the_speed_of_generation_leaves_out_loading_the_model(tmp_path: Path) -> None:
    shards = {f"generate/{i}": {"tokens": 400, "seconds": 30.0, "generating_seconds": 10.0} for i in range(2)}
    lists = {"consolidate": {"read": 90, "seconds": 3.0}}
    stages = timings.stages({"generate": shards, "consolidate": lists, "base": {}}, tmp_path)
    assert [(stage.name, stage.speed) for stage in stages] == [
        ("generate", "40 tokens/s"),
        ("consolidate", "30 lists/s"),
    ]


def test_names_of_models_lead_to_experiments(results: Path) -> None:
    records = collect(configuration(), results, results / "teacher" / "minilm")
    several = replace(records, selection={"candidates": [{"name": "a"}, {"name": "b/c"}]})
    names = {"a": "a", "a/7": "a", "b/c/1": "b/c", "base": "base", "org/7": "org/7", "a/x": "a/x"}
    row = records.scores[0]
    assert {name: several.experiment(replace(row, model=name)) for name in names} == names


def test_the_headline_fits_any_score_table(results: Path) -> None:
    file = results / "scores.csv"
    rows = file.read_text(encoding="utf-8").splitlines()

    def sentence(*kept: str) -> str:
        file.write_text("\n".join([rows[0], *kept]) + "\n", encoding="utf-8")
        texts = headline(collect(configuration(), results, results / "teacher" / "minilm"))
        return " | ".join(texts[key] for key in ("title", "number", "interval", "change", "conclusion"))

    loss = "refined,2,X,all,map,9,50,0.1,40,60,-2.5,0.1,-6,1,True"
    unclear = sentence(loss)
    for part in ("No clear change on X", "-2.50", "95 % interval -6.00 to +1.00", "50.00 MAP × 100", "includes zero"):
        assert part in unclear, part
    assert "loses 2.50 points on X" in sentence(loss.replace("-6,1", "-6,-1"))
    without = sentence("refined,2,X,all,map,9,50,,,,-2.5,,,,True")
    assert "no interval" in without and "zero" not in without
    assert "no difference to the base" in sentence("refined,2,X,all,map,9,50,,,,,,,,True")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("embedded:all-minilm-l6-v2", "all-minilm-l6-v2"),
        ("hub:org/model@v1", "org/model"),
        ("base:hub:org/model@v1", "org/model"),
        ("models/mine/", "mine"),
        ("fake", "fake"),
    ],
)
def test_models_have_short_names(source: str, name: str) -> None:
    assert short_name(source) == name


def test_a_run_without_the_task_says_so_in_its_figure(results: Path, tmp_path: Path) -> None:
    file = results / "scores.csv"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "Representation" not in line) + "\n")
    report.run(configuration(), results, results / "teacher" / "minilm", tmp_path / "report", tmp_path / "report.html")
    assert "This run has no task Representation" in (tmp_path / "report" / "representation.svg").read_text()


def test_imported_lists_have_no_prompt_and_no_tokens(results: Path, tmp_path: Path) -> None:
    for path in (results / "generate").iterdir():
        path.unlink()
    (results / "seeds").rename(results / "lists")
    nothing = dict.fromkeys(("prompt", "prompt_sha256", "prompt_text", "device", "dtype"))
    shard = {
        "read": 6,
        "kept": 6,
        "dropped": {},
        "imported": True,
        "model": "lists.csv",
        "revision": "",
        "seconds": 1.0,
    }
    io.write_json(results / "lists" / "00000.json", shard | nothing)
    imported = configuration() | {"lists": {"source": "import", "file": "lists.csv", "column": "x", "split": "train"}}
    report.run(imported, results, results / "teacher" / "minilm", tmp_path / "report", tmp_path / "report.html")
    page = joined(tmp_path / "report.html")
    assert "none: the lists were imported from lists.csv" in page and "imported from lists.csv" in page
    assert "tokens/s" not in page and "Prompt: " not in page
    assert ">imported lists<" in page and ">language model<" not in page
    assert '<th scope="row">import_lists</th>' in page and '<th scope="row">generate</th><td class="n">2' not in page


@pytest.mark.parametrize("model", ["imports/llama", "imported:x", "import"])
def test_no_name_of_a_language_model_makes_the_lists_imported(results: Path, tmp_path: Path, model: str) -> None:
    for path in (results / "generate").iterdir():
        io.write_json(path, io.read_json(path) | {"model": model})
    report.run(configuration(), results, results / "teacher" / "minilm", tmp_path / "report", tmp_path / "report.html")
    page = joined(tmp_path / "report.html")
    assert f"<td>{model} 0.1.2 <small>" in page
    assert ">language model<" in page and ">imported lists<" not in page
    assert '<th scope="row">generate</th><td class="n">2' in page and ">import_lists<" not in page


def test_a_teacher_without_embeddings_is_named(results: Path, tmp_path: Path) -> None:
    path = results / "refine" / "weak" / "1" / "history.json"
    history = io.read_json(path)
    history["teachers"][0]["revision"] = "0.2.0"
    io.write_json(path, history)
    with pytest.raises(UserError, match=r"no embeddings of the teacher embedded:all-minilm-l6-v2 \(0.2.0\)"):
        report.run(
            configuration(), results, results / "teacher" / "minilm", tmp_path / "report", tmp_path / "report.html"
        )


@pytest.mark.parametrize("key", ["target", "loss"])
def test_a_history_without_a_key_of_the_report_is_named(results: Path, tmp_path: Path, key: str) -> None:
    path = results / "refine" / "weak" / "1" / "history.json"
    history = io.read_json(path)
    del history["config"]["refine"][key]
    io.write_json(path, history)
    with pytest.raises(UserError, match=rf"weak/1/history.json has no 'config.refine.{key}'"):
        report.run(
            configuration(), results, results / "teacher" / "minilm", tmp_path / "report", tmp_path / "report.html"
        )


def test_shards_are_summed_and_differences_show() -> None:
    shard = {"read": 4, "kept": 3, "dropped": {"repeat": 1}, "tokens": 10, "seconds": 2.0, "prompt": "few_shot"}
    joined = join_shards([shard | {"device": "cpu"}, shard | {"device": "GPU", "dropped": {"repeat": 1, "empty": 2}}])
    assert (joined["read"], joined["kept"], joined["tokens"], joined["seconds"]) == (8, 6, 20, 4.0)
    assert joined["dropped"] == {"repeat": 2, "empty": 2}
    assert joined["machines"] == [("cpu", ""), ("GPU", "")]
    assert [prompt[0] for prompt in joined["prompts"]] == ["few_shot"]


def test_shards_that_the_config_does_not_declare_are_not_read(results: Path, tmp_path: Path) -> None:
    (results / "generate" / "00002.json").write_text("of an earlier, larger run")
    report.run(configuration(), results, results / "teacher" / "minilm", tmp_path / "report", tmp_path / "report.html")


@pytest.mark.parametrize(
    "name",
    [
        "seeds/pool.json",
        "generate/00001.json",
        "consolidate/lists.json",
        "consolidate/lists.parquet",
        "teacher/minilm/embeddings.safetensors",
        "teacher/minilm/similarity.json",
        "refine/refined/2024/history.json",
        "scores.csv",
        "selection.json",
    ],
)
def test_a_missing_file_is_named(results: Path, tmp_path: Path, name: str) -> None:
    (results / name).unlink()
    with pytest.raises(UserError, match=f"There is no file .*{name}"):
        report.run(
            configuration(), results, results / "teacher" / "minilm", tmp_path / "report", tmp_path / "report.html"
        )
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("scores.csv", "model,task\nbase,X\n", "is not a score table"),
        ("scores.csv", f"{','.join(COLUMNS)}\nbase,two,X,all,map,9,8,,,,,,,\n", "seeds is 'two', not a number"),
        ("overlap/Representation.json", "{}", "Representation.json has no 'task'"),
        ("seeds/pool.json", json.dumps({"read": 1}), "pool.json has no 'kept'"),
        ("selection.json", "{", "selection.json is not valid JSON"),
    ],
)
def test_a_damaged_file_is_named(results: Path, tmp_path: Path, name: str, text: str, message: str) -> None:
    (results / name).write_text(text)
    with pytest.raises(UserError, match=message):
        report.run(
            configuration(), results, results / "teacher" / "minilm", tmp_path / "report", tmp_path / "report.html"
        )


def test_held_out_lists_do_not_count_as_trained_on() -> None:
    records = SimpleNamespace(consolidate={"kept": 35}, history={"lists": 35, "development_data": {"lists": 3}})
    assert lists._trained(records) == 32
    records.history["development_data"] = {"source": "embedded:stsb", "revision": "1"}
    assert lists._trained(records) == 35
