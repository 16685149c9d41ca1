"""Bad input through the whole workflow: one error message, a nonzero exit code, no partial output."""

from __future__ import annotations

import shutil
import unicodedata

import pandas as pd
import pyarrow.parquet as pq
import pytest

# found before any job runs
PLANNING = [
    ("refine.omga", 2, "unknown key 'refine.omga'; did you mean 'omega'?"),
    ("generate.rounds", 0, "generate.rounds is 0 but must be at least 1"),
    ("refine.omega", -1, "refine.omega is -1 but must be at least 0"),
    ("generate.guidance_scale", -0.1, "generate.guidance_scale is -0.1 but must be at least 0"),
    ("seeds.sources", [{"name": "x", "source": "no.txt"}], "seeds.sources (x): there is no file or folder 'no.txt'"),
    (
        "seeds.sources",
        [{"name": "x", "source": "sentences.txt"}, {"name": "x", "source": "sentences2.txt"}],
        "seeds.sources: two sources have the name 'x'",
    ),
    ("base.model", "models/none", "base.model: there is no file or folder 'models/none'"),
    ("base.model", "embedded:all-minilm", "base.model: there is no embedded model 'all-minilm'; did you mean"),
    ("refine.teacher", "hub:org/name", "refine.teacher: 'hub:org/name' must have the form hub:ORG/NAME@REVISION"),
    (
        "seeds.sources",
        [{"name": "x", "source": "a {b}.txt"}],
        "Snakemake would read the braces in 'a {b}.txt' as wildcards",
    ),
    ("seeds.sources", [{"name": "x", "source": "a <b>.txt"}], "would read the <> in 'a <b>.txt' as a variable"),
    ("generate.python", "no/bin/python", "generate.python: there is no program 'no/bin/python'"),
    ("generate.prompt", "nine_shot", "generate.prompt: there is no prompt template 'nine_shot'; use few_shot"),
]


@pytest.mark.parametrize(("key", "value", "sentence"), PLANNING, ids=[f"{key}={value}" for key, value, _ in PLANNING])
def test_a_wrong_config_stops_before_any_job(fresh, key: str, value: object, sentence: str) -> None:
    for name in ("a {b}.txt", "a <b>.txt"):
        (fresh.path / name).touch()
    fresh.configure(key, value)
    completed = fresh.snakemake("--cores", "2", check=False)
    printed = completed.stdout + completed.stderr
    assert completed.returncode != 0
    assert sentence in printed
    assert "Traceback" not in printed
    assert not (fresh.path / "results").exists()


OWN_RESULTS = [
    ({"base.model": "results/encoder"}, "base.model"),
    ({"base.data": "results/consolidate/lists.parquet"}, "base.data"),
    ({"lists.source": "import", "lists.file": "results/consolidate/lists.parquet"}, "lists.file"),
    ({"seeds.sources": [{"name": "x", "source": "results/seeds/pool.parquet"}]}, "seeds.sources (x)"),
    ({"seeds.decontaminate": ["sts", "results/seeds"]}, "seeds.decontaminate"),
    ({"generate.engine": "transformers", "generate.model": "results/encoder"}, "generate.model"),
    ({"generate.prompt": "results/mine.yaml"}, "generate.prompt"),
    ({"examples.recipe": "results/mine.yaml", "base.objective": "contrastive"}, "examples.recipe"),
    (
        {
            "examples": {"recipe": "syncse_partial", "scorer": "likelihood", "scoring_prompt": "results/mine.yaml"},
            "base.objective": "contrastive",
        },
        "examples.scoring_prompt",
    ),
    ({"examples": {"recipe": "import", "file": "results/seeds"}, "base.objective": "contrastive"}, "examples.file"),
    ({"base.objective": "rank_distillation", "base.guide": "results/encoder"}, "base.guide"),
    ({"refine.teacher": {"encoder2": 1, "results/encoder": 1}}, "refine.teacher"),
    ({"refine.experiments": {"a": {"teacher": "results/encoder"}}}, "refine.teacher"),
    ({"refine.development": "."}, "refine.development"),
    ({"evaluate.encoders": [{"name": "y", "source": "./results/encoder"}]}, "evaluate.encoders (y)"),
    ({"evaluate.tasks": {"STSBenchmark": "results/seeds"}}, "evaluate.tasks.STSBenchmark"),
    ({"evaluate.data": "results"}, "evaluate.data"),
]


@pytest.mark.parametrize(("changes", "key"), OWN_RESULTS, ids=[f"{key}-{i}" for i, (_, key) in enumerate(OWN_RESULTS)])
def test_own_results_are_refused_as_input_of_any_key(fresh, tmp_path, changes: dict[str, object], key: str) -> None:
    """The results folder is a link, and Snakemake starts elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (fresh.path / "results").symlink_to(elsewhere)
    for folder in ("consolidate", "encoder", "seeds"):
        (elsewhere / folder).mkdir()
    for file in ("mine.yaml", "consolidate/lists.parquet", "seeds/pool.parquet"):
        (elsewhere / file).touch()
    for changed, value in changes.items():
        fresh.configure(changed, value)
    there, fresh.path = fresh.path, elsewhere
    completed = fresh.snakemake("--dry-run", "--directory", str(there), check=False)
    printed = completed.stdout + completed.stderr
    assert completed.returncode == 1
    (line,) = (line for line in printed.splitlines() if "copy it elsewhere first." in line)
    assert line.startswith(f"{key}: '")
    assert "Traceback" not in printed


def stops(folder, sentence: str, *targets: str) -> None:
    """Assert that the run fails, prints the message, logs it, and leaves no partial file."""
    completed = folder.snakemake("--cores", "2", *targets, check=False)
    assert completed.returncode != 0
    last = completed.stderr[completed.stderr.rindex("rankrefine: error: ") :]  # below all output of Snakemake itself
    assert sentence in last, completed.stderr
    assert "Traceback" not in completed.stderr
    assert any(sentence in text.decode() for text in folder.read("results/logs/**/*.log").values())
    assert not list(folder.path.rglob("*.part"))


def test_a_pool_smaller_than_the_count_gives_both_numbers_and_the_drops(fresh) -> None:
    fresh.configure("seeds.count", 1000)
    stops(fresh, "seeds.count is 1000, but the pool has only ", "consolidate")
    log = b"".join(fresh.read("results/logs/generate/*.log").values()).decode()
    assert (
        "(dropped: " in log
        and "overlaps an evaluation set 17" in log
        and "lower seeds.count, add sources or loosen the filters" in log
    )
    assert fresh.read("results/generate/*") == {}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"A good sentence about boats.\nbad \xff byte here.\n", "sentences.txt is not UTF-8"),
        (b"", "sentences.txt"),
    ],
    ids=["not UTF-8", "empty"],
)
def test_an_unreadable_source(fresh, content: bytes, sentence: str) -> None:
    (fresh.path / "sentences.txt").write_bytes(content)
    stops(fresh, sentence, "seeds")


def test_a_missing_column_names_those_there_are(fresh) -> None:
    (fresh.path / "table.csv").write_text("id,body\n1,A sentence about a boat.\n", encoding="utf-8")
    fresh.configure("seeds.sources", [{"name": "x", "source": "table.csv", "column": "text"}])
    stops(fresh, "body", "seeds")


@pytest.mark.parametrize("damage", ["truncated", "garbage"])
def test_a_corrupt_shard_is_named(finished, damage: str) -> None:
    shard = finished.path / "results" / "generate" / "00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-30] if damage == "truncated" else b"garbage")
    stops(finished, "results/generate/00001.parquet is corrupt or truncated", "consolidate")
    shard.unlink()
    finished.snakemake("--cores", "2", "consolidate")


def test_a_folder_that_is_no_model(fresh) -> None:
    shutil.rmtree(fresh.path / "encoder2")
    (fresh.path / "encoder2").mkdir()
    (fresh.path / "encoder2" / "notes.txt").write_text("nothing here", encoding="utf-8")
    fresh.configure("base.model", "encoder2")
    stops(fresh, "encoder2", "scores")


def test_a_task_that_mteb_does_not_know(fresh) -> None:
    fresh.configure("evaluate.tasks", {"STSBenchmrak": "sts"})
    stops(fresh, "STSBenchmark", "scores")


def test_task_data_without_a_column(fresh) -> None:
    file = fresh.path / "sts" / "test.parquet"
    pq.write_table(pq.read_table(file).drop_columns("score"), file)
    stops(fresh, "score", "scores")


def test_models_and_development_data_are_checked_before_generation(fresh) -> None:
    (fresh.path / "sts" / "validation.parquet").unlink()
    stops(fresh, "has no split 'validation'; available splits: test")
    assert not (fresh.path / "results" / "consolidate").exists()


@pytest.mark.parametrize(
    ("layout", "writer"),
    [("test.jsonl", "to_json"), ("data/test-00000-of-00001.parquet", "to_parquet"), ("test.jsonl.gz", "to_json")],
)
def test_a_copy_of_a_hub_repository_is_compared_with_the_seeds(fresh, layout: str, writer: str) -> None:
    seeds = [line for line in (fresh.path / "sentences.txt").read_text(encoding="utf-8").splitlines() if line]
    file = fresh.path / "b" / layout
    file.parent.mkdir(parents=True)
    (fresh.path / "b/README.md").write_text("# A copy", encoding="utf-8")
    options = {"orient": "records", "lines": True} if writer == "to_json" else {}
    getattr(pd.DataFrame({"sentence1": seeds}), writer)(file, **options)
    fresh.configure("seeds.decontaminate", ["b"])
    stops(fresh, "No seed sentence is left", "seeds")


def test_an_evaluation_set_without_text_is_refused(fresh) -> None:
    (fresh.path / "b").mkdir()
    (fresh.path / "b/test.jsonl").write_text('{"score": 1}\n', encoding="utf-8")
    fresh.configure("seeds.decontaminate", ["b"])
    stops(fresh, "seeds.decontaminate: b contains no text that can be compared", "seeds")


def test_warnings_are_repeated_below_the_output_of_a_run(fresh) -> None:
    (fresh.path / "lists.jsonl").write_text('{"list_sent": ["A seed.", "A rewrite."]}\n' + '{"list_sent": 1}\n' * 3)
    fresh.configure("lists", {"source": "import", "file": "lists.jsonl"})
    printed = fresh.snakemake("--cores", "2", "results/lists/pool.json").stderr
    last = printed[printed.rindex("rankrefine: warning: ") :]
    assert last.startswith("rankrefine: warning: lists.file: only 1 of 4 rows are used; 3 are dropped as 'not a list'")


@pytest.mark.parametrize(
    "name",
    ['it\'s a $(touch hacked) "é" ; *.txt', "-rf\n\u202e\u0301 `touch hacked` | touch hacked & %s > x \\ ?[a].txt"],
    ids=["shell", "dash and control characters"],
)
def test_odd_file_names_are_only_names(fresh, name: str) -> None:
    """Shell characters, spaces, quotes and non-Latin letters in a source's path and in its sentences."""
    text = fresh.path / "sentences.txt"
    kept = [
        "Run $(touch hacked) and {seed} {output} now.",
        "Then ; touch hacked && `touch hacked` again here.",
        "مرحبا \u202eبكم يا أصدقاء اليوم هنا.",
        "E\u0301a\u0301\u0302\u0303 with many marks on it.",
        "A \0 NUL is in the middle.",
    ]
    text.write_text(text.read_text(encoding="utf-8") + "\n".join(kept) + "\n", encoding="utf-8")
    text.rename(fresh.path / name)
    fresh.configure("seeds.sources", [{"name": "odd", "source": name}])
    fresh.configure("seeds.require_pattern", "")
    fresh.configure("seeds.exclude_pattern", "")
    fresh.snakemake("--cores", "2", "seeds")
    pool = pq.read_table(fresh.path / "results/seeds/pool.parquet")["text"].to_pylist()
    assert {unicodedata.normalize("NFC", sentence) for sentence in kept} <= set(pool)
    assert not (fresh.path / "hacked").exists()
