"""Report of the base encoder's training: its curve, and the examples that it was trained on."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from unit.report.test_run import EVIL, MODEL, configuration, fabricate

from rankrefine import io
from rankrefine.config.load import complete
from rankrefine.errors import UserError
from rankrefine.report import run as report
from rankrefine.report.collect import collect
from rankrefine.report.contents import CONTENTS, items

WRITER = {"model": "hub:org/writer@v1", "revision": "c0ffee", "prompt": "mine", "prompt_sha256": "cd" * 32}
SCORER = {"model": "hub:org/scorer@v1", "revision": "5c0e"}
SECTION = {"recipe": "syncse_partial", "count": 5, "scorer": "hub:org/scorer@v1"}
TEXTS = [("An anchor.", f"A positive. {EVIL}", "A negative."), ("Another anchor.", "Its positive.", None)]


def written(folder: Path, **section: Any) -> dict[str, Any]:
    """Add what a run leaves that trains its base encoder on examples to a fabricated run; return its configuration."""
    section = SECTION | section
    imported = section["recipe"] == "import"
    provenance = {"versions": {"python": "3.11.7"}, "seconds": 2.0}
    curve = [{"step": step, "score": score} for step, score in ((0, 60.0), (5, 62.5), (10, 61.0))]
    history = {"stage": "base", "base": MODEL, "guides": [], "examples": 2, "development": curve, "improved": True}
    history |= {"base_development": 60.0, "best_development": 62.5, "best_step": 5}
    history |= {"steps": [{"step": step, "loss": 3.0 - step / 10} for step in range(1, 11)]}
    history |= {"config": {"base": {"objective": "contrastive", "data": None}}} | provenance
    io.write_json(folder / "base" / "history.json", history)
    made = {"model": "a.csv", "revision": "r1", "imported": True} if imported else WRITER | {"prompt_text": "[same]"}
    counts = {"read": 5, "kept": 3, "dropped": {"positive: too short": 2}, "made_by": [made]}
    counts |= {"examples": {"positive: too short": [f"a | b | {EVIL}"]}}
    keys = {"examples": {"count": 5}, "generate": {"shard_size": 4}}
    io.write_json(folder / "examples" / "examples.json", counts | {"config": keys} | provenance)
    for name in () if imported else ("00000", "00001"):
        shard = {"read": 4, "kept": 4, "dropped": {}, "tokens": 50, "config": {"examples": {"top_p": 0.9}}}
        io.write_json(folder / "synthesize" / f"{name}.json", shard | WRITER | provenance)
    names = ("anchor", "positive", "negative")
    rows = [dict(zip(names, texts, strict=True)) for texts in TEXTS]
    io.write_table(folder / "examples" / "examples.parquet", pa.Table.from_pylist(rows))
    if section["scorer"]:
        rated = [{"score": 0.25, "score_negative": 0.75}, {"score": 1.0, "score_negative": None}]
        chosen = [row | scores for row, scores in zip(rows, rated, strict=True)]
        io.write_table(folder / "examples" / "curated.parquet", pa.Table.from_pylist(chosen))
        ratings = {"positive": [0.25, 1.0, 0.5], "negative": [0.75, None, 0.25]}
        types = pa.schema({"positive": pa.float32(), "negative": pa.float32()})
        io.write_table(folder / "examples" / "ratings.parquet", pa.table(ratings, schema=types))
        io.write_json(folder / "examples" / "ratings.json", {"stage": "rate", "scorer": SCORER} | provenance)
        thresholds = {"examples": {"min_positive": 0.5, "max_negative": 1.0}}
        counts = {"read": 3, "kept": 2, "dropped": {"positive: below min_positive": 1}, "swapped": 1}
        io.write_json(folder / "examples" / "curated.json", counts | {"config": thresholds} | provenance)
    parts = {"examples": section, "base": {"objective": "contrastive"}}
    return complete(parts | {"seeds": {"count": 6}, "generate": {"shard_size": 4}, "report": {"examples": 2}})


def texts(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    """Write the report; return the text of its figures by name, and of the sections of the page by id."""
    report.run(config, folder, folder / "teacher" / "minilm", folder / "report", folder / "report.html")
    figures = {path.name: " ".join(path.read_text("utf-8").split()) for path in (folder / "report").iterdir()}
    page = " ".join((folder / "report.html").read_text(encoding="utf-8").split())
    sections = re.findall(r'<section id="(\w+)".*?</section>', page), re.findall(r"<section .*?</section>", page)
    return figures | dict(zip(*sections, strict=True))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return fabricate(tmp_path)


def test_a_run_has_the_items_of_its_configuration_alone() -> None:
    plain, scored = {"examples": SECTION | {"scorer": None}}, {"examples": SECTION}
    base = {"base": {"objective": "contrastive"}}
    found = {
        "none": items(configuration()),
        "base": items(complete({"base": {"objective": "simcse_unsup"}})),
        "examples": items(complete(plain | base)),
        "scorer": items(complete(scored | base)),
    }
    new = {name: [item.file for item in have if item.needs] for name, have in found.items()}
    assert new == {
        "none": [],
        "base": ["base_training.svg"],
        "examples": ["base_training.svg"],
        "scorer": ["base_training.svg", "base_scores.svg"],
    }
    assert found["scorer"] == CONTENTS


def test_the_curve_marks_start_and_best_step(results: Path) -> None:
    found = texts(results, written(results))["base_training.svg"]
    assert ">start<" in found and ">kept: step 5<" in found and ">training loss<" in found


def test_a_training_without_a_better_step_and_with_one_loss_is_drawn(results: Path) -> None:
    config, path = written(results), results / "base" / "history.json"
    changes = {"improved": False, "best_step": 0, "best_development": 60.0, "steps": [{"step": 1, "loss": 2.0}]}
    io.write_json(path, io.read_json(path) | changes)
    found = texts(results, config)
    assert ">kept: the start itself<" in found["base_training.svg"]
    assert "60.00 before, 60.00 after (step 0)" in found["provenance"] and ">1 step<" in found["provenance"]


def test_the_page_has_examples_with_scores_and_drops_by_reason(results: Path) -> None:
    page = texts(results, written(results))["base"]
    for part in (
        *(
            '<th scope="col">anchor</th><th scope="col">positive</th><th scope="col">negative</th>',
            ">An anchor.<",
            ">0.25</b> A positive.",
            ">1.00</b>",
        ),
        *(
            ">0.75</b> A negative.",
            "<b>hub:org/writer@v1</b> c0ffee with the recipe <b>mine</b>",
            "5c0e: 1 changed roles, 0 repaired",
        ),
        *("positive: too short", "40.0 %", "positive: below min_positive", "33.3 %", "a | b | &lt;script&gt;"),
    ):
        assert part in page, part
    assert "<script" not in page and "None" not in page and "base_scores-title" in page


def test_the_page_has_as_many_examples_as_the_configuration_asks_for(results: Path) -> None:
    config = written(results)
    assert "Another anchor." in texts(results, config)["base"]
    config["report"]["examples"] = 1
    assert "Another anchor." not in texts(results, config)["base"]


def test_examples_without_negatives_and_a_scorer_have_no_such_column(results: Path) -> None:
    config = written(results, scorer=None)
    rows = [{"anchor": "a", "positive": "p", "negative": None}]
    io.write_table(results / "examples" / "examples.parquet", pa.Table.from_pylist(rows))
    found = texts(results, config)
    table = found["base"].partition('<table class="examples">')[2]
    assert '<th scope="col">anchor</th><th scope="col">positive</th></tr>' in table
    assert "<b>" not in table and "base_scores.svg" not in found and "base_scores-title" not in found["base"]
    assert ">Scorer<" not in found["provenance"] and ">scorer<" not in found["provenance"]


def test_the_histogram_has_counts_medians_and_the_threshold_within_the_scores(results: Path) -> None:
    found = texts(results, written(results))["base_scores.svg"]
    for part in ("3 positives, median 0.50", "2 negatives, median 0.50", ">min_positive<", "the negative: 50.0 %"):
        assert part in found, part
    assert "max_negative" not in found


def test_equal_scores_without_negatives_are_drawn(results: Path) -> None:
    config = written(results)
    columns = {"positive": pa.array([0.5, 0.5], pa.float32()), "negative": pa.nulls(2, pa.float32())}
    io.write_table(results / "examples" / "ratings.parquet", pa.table(columns))
    found = texts(results, config)["base_scores.svg"]
    assert "2 positives, median 0.50" in found and "negatives" not in found and "nearer" not in found


def test_summary_and_provenance_name_what_wrote_and_trained(results: Path) -> None:
    config, path = written(results), results / "base" / "history.json"
    guide = {"model": "hub:org/guide@v1", "revision": "9u1d", "weight": 1.0}
    io.write_json(path, io.read_json(path) | {"guides": [guide]})
    found = texts(results, config)
    for part in (
        *(
            "contrastive on 2 examples",
            "development score 60.00 before, 62.50 after (step 5)",
            "hub:org/guide@v1 (9u1d)",
        ),
        *("2 kept of 5", "written with the recipe mine by hub:org/writer@v1 (c0ffee)", "hub:org/scorer@v1 (5c0e)"),
    ):
        assert part in found["provenance"], part
    for part in (
        *(">base encoder, start<", ">guide<", ">writer of examples<", ">scorer<", "cd" * 32, "[same]"),
        *("2 shards, 100 tokens, 25 tokens/s", "examples.top_p", "examples.min_positive", ">10 steps<"),
    ):
        assert part in found["provenance"], part
    stages = re.findall(r'<th scope="row">(\w+)</th>', found["time"])
    assert {"synthesize", "examples", "rate", "curate"} <= set(stages)


def test_a_language_model_that_scores_is_named_with_its_prompt(results: Path) -> None:
    config = written(results)
    prompt = {"prompt": "plain", "prompt_sha256": "ef" * 32, "prompt_text": "[labels]"}
    scorer = {"model": "fake", "revision": None} | prompt
    io.write_json(
        results / "examples" / "ratings.json", {"stage": "likelihood", "scorer": scorer, "pairs": 8, "seconds": 2.0}
    )
    path = results / "examples" / "curated.json"
    io.write_json(path, io.read_json(path) | {"repaired": 3, "random_pairs": 4})
    found = texts(results, config)
    assert ">likelihood</th>" in found["time"] and "4 pairs/s" in found["time"]
    assert "ef" * 32 in found["provenance"] and "[labels]" in found["provenance"]
    assert "<b>fake</b>: 1 changed roles, 3 repaired, 4 random pairs added." in found["base"]


def test_imported_examples_name_their_file(results: Path) -> None:
    found = texts(results, written(results, recipe="import", file="a.csv", scorer=None))
    assert "imported from a.csv (r1)" in found["provenance"]
    assert "Imported from <b>a.csv</b>" in found["base"] and "with the recipe" not in found["base"]
    assert ">imported examples<" in found["provenance"] and ">synthesize<" not in found["time"]


def test_writers_of_seed_sentences_are_named(results: Path) -> None:
    path = results / "seeds" / "pool.json"
    made = WRITER | {"prompt_text": "[news]"}
    io.write_json(path, io.read_json(path) | {"made_by": [made], "shards": ["00000", "00001"]})
    shard = {"read": 4, "kept": 4, "dropped": {}, "tokens": 50, "config": {"write": {"top_p": 0.9}}, "seconds": 2.0}
    for name in ("00000", "00001"):
        io.write_json(results / "write" / f"{name}.json", shard | made)
    io.write_text(results / "benchmarks" / "write" / "00000.tsv", "s\n58\n")
    found = texts(results, configuration())
    assert "written by hub:org/writer@v1 (c0ffee)" in found["provenance"]
    for part in (">writer of seed sentences<", "cd" * 32, "[news]", "write.top_p", "2 shards, 100 tokens"):
        assert part in found["provenance"], part
    row = re.search(r'<th scope="row">write</th>(.*?)</tr>', found["time"])[1]
    assert all(part in row for part in (">2</td>", "1 min", "25 tokens/s")), row


def test_the_same_records_without_a_trained_base_are_not_read(results: Path) -> None:
    before = copy.deepcopy(texts(results, configuration()))
    written(results)
    assert texts(results, configuration()) == before
    assert collect(configuration(), results, results / "teacher" / "minilm").base is None


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("base/history", "best_step"),
        ("examples/examples", "made_by"),
        ("examples/ratings", "scorer"),
        ("examples/curated", "kept"),
        ("synthesize/00001", "read"),
    ],
)
def test_a_record_without_a_field_is_named(results: Path, name: str, field: str) -> None:
    config, path = written(results), results / f"{name}.json"
    record = io.read_json(path)
    del record[field]
    io.write_json(path, record)
    with pytest.raises(UserError, match=rf"{name}\.json has no '{field}', which the report needs"):
        texts(results, config)
