"""Each stage's result depends on its inputs, its config section and its code, and on nothing else."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from workflow.folder import Folder

from rankrefine.config.schema import leaves, reruns

ROOT = Path(__file__).parents[2]

# who reads whose results: docs/architecture.md, "When something runs again"
READERS = {
    "seeds": {"generate", "base", "overlap"},
    "generate": {"consolidate", "report"},
    "import_lists": {"consolidate", "base", "overlap", "report"},
    "consolidate": {"teacher", "refine", "report"},
    "base": {"refine", "evaluate"},
    "teacher": {"refine", "report"},
    "refine": {"evaluate", "export", "report"},
    "task": {"evaluate", "overlap"},
    "overlap": {"report"},
    "evaluate": {"scores"},
    "scores": {"export", "report"},
    "export": {"report"},
    "report": set(),
}
# where the language model writes the training examples and some of the seed sentences
WRITING_READERS = READERS | {
    "write": {"seeds"},
    "seeds": {"generate", "synthesize", "overlap"},
    "synthesize": {"examples"},
    "examples": {"rate", "likelihood", "curate"},
    "rate": {"curate"},
    "likelihood": {"curate"},
    "curate": {"base"},
}

# another valid value for every leaf of the schema, for the miniature
CHANGES = {
    "seed": 8,
    "seeds.sources": [{"name": "made-up", "source": "sentences2.txt"}],
    "seeds.min_words": 6,
    "seeds.max_words": 20,
    "seeds.require_pattern": "^[A-Z]",
    "seeds.exclude_pattern": "@",
    "seeds.near_duplicate_threshold": 0.99,
    "seeds.decontaminate": ["sts2"],
    "seeds.overlap_ngram": 5,
    "seeds.overlap_limit": 0.99,
    "seeds.count": 23,
    "write.recipe": "scratch.yaml",
    "write.count": 30,
    "write.temperature": 1,
    "write.top_p": 0.9,
    "write.plausibility": 4,
    "write.max_new_tokens": 65,
    "write.redraws": 4,
    "generate.engine": "transformers",
    "generate.model": "encoder2",
    "generate.dtype": "float32",
    "generate.device": "cpu",
    "generate.python": sys.executable,
    "generate.tensor_parallel": 2,
    "generate.prompt": "paper_like",
    "generate.rounds": 4,
    "generate.guidance_scale": 2,
    "generate.temperature": 1,
    "generate.top_p": 0.9,
    "generate.min_p": 0.1,
    "generate.plausibility": 4,
    "generate.max_new_tokens": 49,
    "generate.redraws": 4,
    "generate.max_overlap": 0.9,
    "generate.min_words": 1,
    "generate.max_words": 59,
    "generate.forbid": ["marker"],
    "generate.token_budget": 65537,
    "generate.block_size": 161,
    "generate.shard_size": 9,
    "lists.source": "import",
    "lists.file": "lists2.jsonl",
    "lists.column": "ranked",
    "lists.split": "test",
    "examples.recipe": "recipe.yaml",
    "examples.file": "examples.jsonl",
    "examples.member": "a.jsonl",
    "examples.score_range": 5,
    "examples.columns": {"anchor": "a", "positive": "b"},
    "examples.count": 19,
    "examples.temperature": 1,
    "examples.top_p": 0.8,
    "examples.plausibility": 4,
    "examples.max_new_tokens": 49,
    "examples.redraws": 4,
    "examples.min_words": 2,
    "examples.max_words": 39,
    "examples.scorer": "encoder",
    "examples.scorer_pooling": "mean",
    "examples.scoring_prompt": "scoring.yaml",
    "examples.calibrate": True,
    "examples.repair": True,
    "examples.smoothing": 0.1,
    "examples.random_pairs": 1,
    "examples.max_length": 64,
    "examples.swap": True,
    "examples.min_positive": -0.9,
    "examples.max_negative": 0.99,
    "examples.min_margin": 0.01,
    "consolidate.collapse_repeats": 4,
    "consolidate.min_words": 1,
    "consolidate.max_words": 61,
    "consolidate.examples": 4,
    "refine.experiments": {"other": {}},
    "refine.seeds": [3],
    "refine.target": "borda",
    "refine.loss": "list_net",
    "refine.contrastive": 0.1,
    "refine.anchor": 0.1,
    "refine.layers": 1,
    "refine.schedule": "cosine",
    "refine.warmup": 0.1,
    "refine.weight_decay": 0.1,
    "refine.clip": 2,
    "refine.accumulation": 2,
    "refine.bf16": True,
    "refine.patience": 3,
    "refine.report_to": ["tensorboard"],
    "base.model": "encoder2",
    "base.pooling": "mean",
    "base.prompt": "query: ",
    "base.objective": "none",
    "base.data": "sentences2.txt",
    "base.tau": 0.1,
    "base.mlm": 0.1,
    "base.guide": {"encoder": 1, "encoder2": 1},
    "base.guide_pooling": "cls",
    "base.phi": 0.9,
    "base.sigma": 0.2,
    "base.beta": 0.5,
    "base.gamma": 0.5,
    "base.learning_rate": 0.0001,
    "base.batch_size": 8,
    "base.epochs": 2,
    "base.max_length": 16,
    "base.bf16": True,
    "base.evaluate_every": 3,
    "base.schedule": "cosine",
    "base.warmup": 0.1,
    "base.weight_decay": 0.1,
    "base.clip": 2,
    "base.accumulation": 2,
    "base.patience": 2,
    "refine.teacher_pooling": "mean",
    "refine.teacher_prompt": "query: ",
    "refine.lora": 2,
    "refine.matryoshka": [8],
    "refine.teacher": "encoder2",
    "refine.omega": 1,
    "refine.tau_teacher": 0.1,
    "refine.tau": 0.1,
    "refine.learning_rate": 0.002,
    "refine.epochs": 2,
    "refine.batch_size": 5,
    "refine.max_length": 64,
    "refine.development": "sts2",
    "refine.evaluate_every": 3,
    "evaluate.tasks": {"STSBenchmark": "sts2"},
    "evaluate.suites": ["sts"],
    "evaluate.data": "tasks2",
    "evaluate.encoders": [{"name": "another", "source": "encoder2"}],
    "evaluate.resamples": 201,
    "evaluate.confidence": 0.9,
    "report.examples": 11,
}


def with_readers(rules: set[str], readers: dict[str, set[str]] = READERS) -> set[str]:
    """The rules and all that read their results, directly or not."""
    found: set[str] = set()
    waiting = set(rules)
    while waiting:
        found |= waiting
        waiting = set().union(*(readers[rule] for rule in waiting)) - found
    return found


# the rules that a run with imported lists does not have, and those of one that makes its own
NOT_IMPORTING, IMPORTING = {"seeds", "generate"}, {"import_lists"}
WRITING = {"write", "synthesize", "examples", "rate", "likelihood", "curate"}  # the rules of such a run alone


# a choice needs no entry: another value of it, if it has one
for key, leaf in leaves():
    others = [value for value in leaf.get("enum", ()) if value != leaf["default"]]
    if key not in CHANGES and others:
        CHANGES[key] = others[0]


def test_every_leaf_of_the_schema_has_a_change() -> None:
    assert set(CHANGES) == {key for key, leaf in leaves() if len(leaf.get("enum", ())) != 1}


def test_a_second_run_does_nothing(finished) -> None:
    assert finished.planned() == {}
    assert "Nothing to be done" in finished.snakemake("--cores", "2").stderr


@pytest.mark.parametrize("key", [key for key in CHANGES if not key.startswith(("lists.", "examples."))])
def test_a_change_of_a_key_plans_the_rules_of_the_table(finished, key: str) -> None:
    leaf = dict(leaves())[key]
    if key == "base.guide":  # refused without an objective that compares with it
        finished.configure("base.objective", "rank_distillation")
        finished.configure(key, "encoder2")
        finished.snakemake("--cores", "1", "results/base/model.json")
        finished.snakemake("--touch", "--cores", "1")
        assert finished.planned() == {}
    finished.configure(key, CHANGES[key])
    assert set(finished.planned()) == with_readers(set(reruns(leaf)) - IMPORTING - WRITING)


@pytest.fixture
def writing(writing_run: Path, python, tmp_path: Path) -> Folder:
    """A private copy of a finished folder in which the language model has written the training examples."""
    shutil.copytree(writing_run, tmp_path / "work")
    return Folder(tmp_path / "work", python)


@pytest.mark.parametrize(
    "key",
    [
        *(key for key in CHANGES if key.startswith("write.")),
        *(key for key in CHANGES if key.startswith("examples.") and key not in ("examples.file", "examples.columns")),
        *(
            "seed",
            "seeds.min_words",
            "seeds.decontaminate",
            "seeds.overlap_ngram",
            "seeds.overlap_limit",
            "seeds.count",
        ),
        *("generate.engine", "generate.block_size", "generate.shard_size", "generate.rounds", "base.tau"),
    ],
)
def test_a_change_of_a_key_plans_the_rules_of_the_table_where_examples_are_written(writing, key: str) -> None:
    writing.configure(key, CHANGES[key])
    rules = set(reruns(dict(leaves())[key])) - IMPORTING - {"likelihood"}
    assert set(writing.planned()) == with_readers(rules, WRITING_READERS) - {"likelihood"}


@pytest.fixture
def scoring(scoring_run: Path, python, tmp_path: Path) -> Folder:
    """A private copy of a finished folder in which the language model has rated the training examples."""
    shutil.copytree(scoring_run, tmp_path / "work")
    return Folder(tmp_path / "work", python)


@pytest.mark.parametrize(
    "key",
    [
        *("examples.scoring_prompt", "examples.calibrate", "examples.scorer_pooling", "examples.min_positive"),
        *("examples.smoothing", "generate.engine", "generate.block_size", "generate.token_budget", "generate.rounds"),
    ],
)
def test_a_change_of_a_key_plans_the_rules_of_the_table_where_the_language_model_rates(scoring, key: str) -> None:
    scoring.configure(key, CHANGES[key])
    rules = set(reruns(dict(leaves())[key])) - IMPORTING - {"rate"}
    assert set(scoring.planned()) == with_readers(rules, WRITING_READERS) - {"rate"}


def test_another_scorer_rates_all_examples_again(scoring) -> None:
    scoring.configure("examples.scorer", "encoder2")
    assert set(scoring.planned()) == with_readers({"rate"}, WRITING_READERS)


def test_a_changed_scoring_prompt_rates_again(scoring) -> None:
    scoring.configure("examples.scoring_prompt", "scoring.yaml")
    scoring.snakemake("--touch", "--cores", "1")
    (scoring.path / "scoring.yaml").write_text("text: 'Like: {first} {second} ('\nlabels: {'0': 0, '1': 1}\n")
    assert {"likelihood", "curate"} <= set(scoring.planned()) and "examples" not in scoring.planned()


def test_the_card_of_the_examples_is_written_by_the_rule_that_makes_the_last_table(writing) -> None:
    card = writing.path / "results/examples/README.md"
    writing.configure("base.objective", "contrastive")  # which needs no scorer
    writing.snakemake("--touch", "--cores", "1")
    assert "## Scorer" in card.read_text(encoding="utf-8")
    writing.configure("examples.scorer", None)
    assert set(writing.planned()) == {"examples"} | with_readers({"base"}, WRITING_READERS)
    writing.snakemake("--cores", "1", str(card.relative_to(writing.path)))
    assert "## Scorer" not in card.read_text(encoding="utf-8")
    writing.configure("examples.scorer", "encoder2")
    planned = set(writing.planned())
    assert planned - {"rate"} == with_readers({"curate"}, WRITING_READERS)
    writing.snakemake("--cores", "1", str(card.relative_to(writing.path)))
    assert "## Scorer" in card.read_text(encoding="utf-8")


def test_a_larger_count_of_examples_writes_only_the_new_ones(writing) -> None:
    before = writing.read("results/synthesize/*.parquet")
    writing.configure("examples.count", 19)
    assert {rule: jobs for rule, jobs in writing.planned().items() if rule in WRITING} == {
        "synthesize": 1,
        "examples": 1,
        "rate": 1,
        "curate": 1,
    }
    writing.snakemake("--cores", "1", "results/examples/examples.parquet")
    after = writing.read("results/synthesize/*.parquet")
    assert sorted(after) == sorted(before) and sum(before[name] == after[name] for name in before) == 2


def test_the_language_model_has_written_some_of_the_seed_sentences(writing) -> None:
    record = json.loads((writing.path / "results/seeds/pool.json").read_text(encoding="utf-8"))
    assert record["made_by"][0]["prompt"] == "scratch"
    written = [counts for name, counts in record["sources"].items() if name.startswith("scratch/")]
    assert len(written) == 8 and sum(counts["kept"] for counts in written) > 10


def test_more_requests_write_only_the_new_ones(writing) -> None:
    before = writing.read("results/write/*.parquet")
    assert len(before) == 3
    writing.configure("write.count", 24)  # 20 requests in shards of 8: the third has 4 and grows to 8
    assert writing.planned("seeds") == {"write": 1, "seeds": 1}
    writing.configure("write.count", 25)
    assert writing.planned("seeds") == {"write": 2, "seeds": 1}
    writing.snakemake("--cores", "1", "seeds")
    after = writing.read("results/write/*.parquet")
    assert len(after) == 4
    assert [name for name in before if before[name] != after[name]] == ["results/write/00002.parquet"]


def test_fewer_requests_write_nothing_and_give_what_a_fresh_run_would(writing, fresh) -> None:
    writing.configure("write.count", 10)
    assert writing.planned("seeds") == {"seeds": 1}
    shutil.copy(writing.path / "config.yaml", fresh.path / "config.yaml")
    for folder in (writing, fresh):
        folder.snakemake("--cores", "1", "seeds")
    assert writing.read("results/seeds/pool.parquet") == fresh.read("results/seeds/pool.parquet")


@pytest.fixture(scope="module")
def importing_run(finished_run: Path, python, tmp_path_factory) -> Path:
    """The finished folder as if its lists had been imported."""
    folder = Folder(tmp_path_factory.mktemp("importing") / "work", python)
    shutil.copytree(finished_run, folder.path)
    row = json.dumps({"list_sent": ["A boat is here.", "A ship is here."], "ranked": ["A boat.", "A ship."]}) + "\n"
    for name in ("lists.jsonl", "lists2.jsonl"):
        (folder.path / name).write_text(row, encoding="utf-8")
    folder.configure("lists", {"source": "import", "file": "lists.jsonl"})
    assert set(folder.planned()) == with_readers(IMPORTING)
    folder.snakemake("--cores", "1", "import_lists")
    folder.snakemake("--touch", "--cores", "1")  # all other files stay as they are
    return folder.path


@pytest.fixture
def importing(importing_run: Path, python, tmp_path: Path) -> Folder:
    """A private copy of that folder."""
    shutil.copytree(importing_run, tmp_path / "work")
    return Folder(tmp_path / "work", python)


@pytest.mark.parametrize(
    "key",
    [
        *("lists.file", "lists.column", "lists.split", "seeds.decontaminate", "seeds.overlap_ngram"),
        *("seeds.overlap_limit", "seeds.count", "seeds.min_words", "generate.rounds", "consolidate.min_words"),
    ],
)
def test_a_change_of_a_key_plans_the_rules_of_the_table_where_lists_are_imported(importing, key: str) -> None:
    importing.configure(key, CHANGES[key])
    rules = set(reruns(dict(leaves())[key]))
    if key == "seeds.count":
        rules = set()  # all lists of the file are used
    assert set(importing.planned()) == with_readers(rules - NOT_IMPORTING - WRITING)


def test_files_of_lists_and_examples_need_the_language_model_as_scorer_alone(fresh) -> None:
    (fresh.path / "lists.jsonl").write_text(
        '{"list_sent": ["A boat is here.", "A ship is here."]}\n', encoding="utf-8"
    )
    (fresh.path / "pairs.csv").write_text("sent0,sent1,hard_neg\na,b,c\n", encoding="utf-8")
    fresh.configure("lists", {"source": "import", "file": "lists.jsonl"})
    fresh.configure("examples", {"recipe": "import", "file": "pairs.csv"})
    fresh.configure("base.objective", "contrastive")
    fresh.configure("generate", {"engine": "transformers", "model": "encoder2"})
    without = set(fresh.planned())
    assert "examples" in without and not without & {"seeds", "generate", "synthesize", "likelihood", "curate"}
    assert "encoder2" not in fresh.snakemake("--dry-run").stdout
    fresh.configure("examples.scorer", "likelihood")
    assert set(fresh.planned()) == without | {"likelihood", "curate"}
    assert "encoder2" in fresh.snakemake("--dry-run").stdout


def test_reordered_keys_and_comments_plan_nothing(finished) -> None:
    file = finished.path / "config.yaml"

    def reverse(node):
        return {key: reverse(node[key]) for key in reversed(node)} if isinstance(node, dict) else node

    content = reverse(yaml.safe_load(file.read_text(encoding="utf-8")))
    file.write_text("# a comment\n" + yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    assert finished.planned() == {}


def test_writing_a_default_out_plans_nothing(finished) -> None:
    finished.configure("refine.omega", dict(leaves())["refine.omega"]["default"])
    assert finished.planned() == {}


def test_touching_every_file_plans_nothing(edited) -> None:
    folder = edited("Snakefile", lambda text: text)
    for root in (folder.project, folder.path / "encoder", folder.path / "sts"):
        for file in root.rglob("*"):
            os.utime(file)
    for name in ("sentences.txt", "config.yaml"):
        os.utime(folder.path / name)
    assert folder.planned() == {}


def commented(text: str) -> str:
    return f"# a comment\n{text}\n# another\n"


def documented(text: str) -> str:
    """The same code with other docstrings."""
    edited, count = re.subn(r'^( *""")(?=[A-Z])', r"\1Edited. ", text, flags=re.MULTILINE)
    assert count > 1
    return edited


def formatted(text: str) -> str:
    """The same statements in another layout and without comments."""
    return ast.unparse(ast.parse(text))


def test_comments_docstrings_and_formatting_of_the_code_plan_nothing(edited) -> None:
    edited("src/rankrefine/text/rewrite_rules.py", documented)
    edited("src/rankrefine/generate/recipes/recipe.py", formatted)
    folder = edited("src/rankrefine/refine/losses.py", commented)
    assert folder.planned() == {}


def extended(text: str) -> str:
    """Code with one more statement, which changes nothing but the digest; other files with one more line."""
    return f"{text}\n_EDITED = 1\n"


@pytest.mark.parametrize(
    ("file", "rules"),
    [
        ("src/rankrefine/seeds/run.py", {"seeds"}),
        ("src/rankrefine/generate/recipes/ranking.py", {"generate"}),
        ("src/rankrefine/generate/recipes/recipe.py", {"generate"}),
        ("src/rankrefine/import_lists/run.py", set()),
        ("src/rankrefine/llm/fake/engine.py", {"generate"}),
        ("src/rankrefine/llm/transformers/engine.py", set()),
        ("src/rankrefine/text/rewrite_rules.py", {"generate"}),
        ("src/rankrefine/consolidate/list_rules.py", {"consolidate"}),
        ("src/rankrefine/consolidate/run.py", {"consolidate"}),
        ("src/rankrefine/refine/teacher.py", {"teacher"}),
        ("src/rankrefine/refine/run.py", {"refine"}),
        ("src/rankrefine/export/run.py", {"export"}),
        ("src/rankrefine/evaluate/task.py", {"task"}),
        ("src/rankrefine/evaluate/run.py", {"evaluate"}),
        ("src/rankrefine/evaluate/tasks/transfer.py", set()),  # the miniature has no such task
        ("src/rankrefine/evaluate/scores.py", {"scores"}),
        ("src/rankrefine/report/run.py", {"report"}),
        ("src/rankrefine/cli/commands.py", set()),
        ("src/rankrefine/report/templates/scores.html", {"report"}),
        ("src/rankrefine/report/captions/similarity.rst", {"report"}),
    ],
)
def test_changed_code_plans_its_stage_and_what_follows(edited, file: str, rules: set[str]) -> None:
    assert set(edited(file, extended).planned()) == with_readers(rules)


def test_changed_code_of_a_task_reruns_that_task_alone(edited) -> None:
    folder = edited("src/rankrefine/evaluate/tasks/representation.py", extended)
    expected = {"task": 1, "overlap": 1, "evaluate": 3, "scores": 1, "export": 1, "report": 1}
    assert folder.planned() == expected


def test_a_larger_count_plans_new_shards_and_a_partly_filled_last_one(finished) -> None:
    after = {
        "overlap": 2,
        "consolidate": 1,
        "teacher": 1,
        "refine": 1,
        "evaluate": 2,
        "scores": 1,
        "export": 1,
        "report": 1,
    }
    # 20 seeds in shards of 8: the third has 4 and grows to 8, a fourth has 1
    finished.configure("seeds.count", 25)
    assert finished.planned() == {"generate": 2, **after}
    finished.configure("seeds.count", 24)
    assert finished.planned() == {"generate": 1, **after}


@pytest.mark.parametrize("count", [18, 16, 10, 3])
def test_a_smaller_count_plans_no_generation(finished, count: int) -> None:
    finished.configure("seeds.count", count)
    planned = finished.planned()
    assert "generate" not in planned and planned["consolidate"] == 1


def test_a_smaller_count_is_what_a_fresh_run_would_give(finished, fresh) -> None:
    for folder in (finished, fresh):
        folder.configure("seeds.count", 10)
        folder.snakemake("--cores", "2", "consolidate")
    assert finished.read("results/consolidate/lists.parquet") == fresh.read("results/consolidate/lists.parquet")
    finished.configure("seeds.count", 20)
    assert "generate" not in finished.planned()


def test_a_new_task_runs_alone(finished) -> None:
    finished.configure("evaluate.tasks", {"STSBenchmark": "sts", "Representation": None, "SICK-R": "sts2"})
    expected = {"task": 1, "overlap": 1, "evaluate": 3, "scores": 1, "export": 1, "report": 1}
    assert finished.planned() == expected


def test_swapped_values_are_noticed(finished) -> None:
    finished.configure("refine.tau", 0.04)
    finished.configure("refine.tau_teacher", 0.06)
    finished.snakemake("--touch", "--cores", "1")
    finished.configure("refine.tau", 0.06)
    finished.configure("refine.tau_teacher", 0.04)
    assert "refine" in finished.planned()


def test_a_changed_source_runs_everything_again(finished) -> None:
    file = finished.path / "sentences.txt"
    file.write_text(file.read_text(encoding="utf-8") + "One more sentence about boats.\n", encoding="utf-8")
    assert {"seeds", "generate", "refine"} <= set(finished.planned())


def test_growth_leaves_full_shards_as_they_are(finished) -> None:
    before = finished.read("results/generate/*.parquet")
    finished.configure("seeds.count", 25)
    finished.snakemake("--cores", "2", "consolidate")
    after = finished.read("results/generate/*.parquet")
    assert len(after) == 4
    assert [name for name in before if before[name] != after[name]] == ["results/generate/00002.parquet"]


def test_development_data_may_be_left_out(fresh) -> None:
    fresh.configure("base", {"model": "encoder"})
    fresh.configure("refine.development", None)
    fresh.snakemake("--cores", "2", "results/selection.json")
    assert b"held-out lists" in b"".join(fresh.read("results/refine/*/*/history.json").values())


def test_the_shipped_overlays_plan(fresh) -> None:
    """The files of workflow/config, merged into the reference configuration."""
    (fresh.path / "config.yaml").write_bytes((ROOT / "config.yaml").read_bytes())

    def planned(name: str) -> dict[str, int]:
        return fresh.planned("--configfile", str(ROOT / "workflow" / "config" / name))

    paper = planned("paper.yaml")
    assert (paper["generate"], paper["base"], paper["teacher"], paper["refine"]) == (50, 1, 1, 2)
    overlay = yaml.safe_load((ROOT / "workflow" / "config" / "ablation.yaml").read_text(encoding="utf-8"))["refine"]
    assert planned("ablation.yaml")["refine"] == len(overlay["seeds"]) * len(overlay["experiments"] | {"refined": {}})
    syncse, multicsr, claif, gcse = (planned(f"{name}.yaml") for name in ("syncse", "multicsr", "claif", "gcse"))
    assert (syncse["synthesize"], syncse["generate"], syncse["base"]) == (822, 50, 1) and "curate" not in syncse
    assert all(jobs["curate"] == jobs["base"] == 1 for jobs in (multicsr, claif, gcse))
    assert multicsr["likelihood"] == claif["likelihood"] == gcse["rate"] == 1
    nothing = planned("from_nothing.yaml")
    assert (nothing["write"], nothing["synthesize"], nothing["generate"], nothing["base"]) == (2, 1, 1, 1)


def test_other_library_versions_are_reported_and_plan_nothing(finished) -> None:
    pool = finished.path / "results" / "seeds" / "pool.json"
    assert "generated with" not in finished.snakemake("--dry-run").stderr
    times = pool.stat()
    pool.write_text(pool.read_text(encoding="utf-8").replace('"pyarrow": "', '"pyarrow": "0.'), encoding="utf-8")
    os.utime(pool, ns=(times.st_atime_ns, times.st_mtime_ns))
    completed = finished.snakemake("--dry-run")
    assert "rankrefine: results/seeds/pool.json: generated with pyarrow 0." in completed.stderr
    assert "Nothing to be done" in completed.stdout + completed.stderr


def test_a_folder_of_an_older_version_is_recognised(finished) -> None:
    stamp = finished.path / "results" / ".schema"
    assert stamp.read_text() == "1\n"
    stamp.write_text("0\n")
    completed = finished.snakemake("--dry-run", check=False)
    assert completed.returncode != 0
    assert (
        "results/ was written by an older version of rankrefine (schema 0; this version has 1); move it away"
        in completed.stdout + completed.stderr
    )
    assert "Traceback" not in completed.stdout + completed.stderr
