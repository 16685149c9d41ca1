"""Counts of seed sentences in a task's text."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.config import load as config
from rankrefine.evaluate import catalogue, overlap, task

SEEDS = [
    "The old sailor sold a boat.",
    "A young doctor found the red bicycle.",
    "Nothing of this is there.",
    "Unused.",
]


def _run(
    folder: Path,
    name: str = "STSBenchmark",
    source: str = "sts",
    revision: str = "r1",
    listed: str = "sts",
    **parts: dict,
) -> dict:
    table = {
        "sentence1": ["the OLD sailor sold a boat!", "Rain fell."],
        "sentence2": ["A young doctor found the red bicycle near a church.", "Snow fell."],
        "score": [5.0, 1.0],
    }
    io.write_table(folder / "data" / "test.parquet", pa.table(table))
    io.write_table(folder / "pool.parquet", pa.table({"text": SEEDS}))
    write_manifest(folder / "data.json", source=source, kind="dataset", path=folder / "data", revision=revision)
    io.write_json(folder / "pool.json", {"assets": {listed: "r1", "notes": "r2"}})
    task.run(name, folder / "data.json", folder / "task.json", module=catalogue.module(name), own=[*catalogue.OWN])
    settings = config.complete({"seeds": {"count": 3, "decontaminate": [listed]}} | parts)
    overlap.run(settings, folder / "pool.parquet", folder / "pool.json", folder / "task.json", folder / "out.json")
    return json.loads((folder / "out.json").read_text())


@pytest.mark.parametrize("name", ["STSBenchmark", "Representation"])
def test_seeds_are_found_word_for_word_and_by_their_n_grams(tmp_path: Path, name: str) -> None:
    found = _run(tmp_path, name)
    assert (found["seeds"], found["found"], found["overlapping"]) == (3, 1, 1)
    assert found["examples"] == SEEDS[:2]


@pytest.mark.parametrize(
    ("source", "revision", "listed", "expected"),
    [
        ("sts", "r1", "sts", True),
        ("./data/../sts", "r1", "/elsewhere/sts", True),  # the same files at two paths
        ("sts", "r2", "other", False),
        ("notes", "r2", "sts", False),  # a source of seed sentences
        ("embedded:stsb", "r1", "embedded:stsb", True),
        ("hub:org/sts@v1#en", "r1", "hub:org/sts@v1#de", False),  # one revision of a repository, two parts
    ],
)
def test_a_task_is_decontaminated_if_its_data_are_listed(
    tmp_path: Path, source: str, revision: str, listed: str, expected: bool
) -> None:
    record = _run(tmp_path, source=source, revision=revision, listed=listed)
    assert record["decontaminated"] is expected
    assert bool(record["warning"]) is expected


def test_seeds_in_listed_data_are_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    warning = (
        "STSBenchmark: 2 of 3 seed sentences are in its text or overlap it, although its data (sts) are in "
        "seeds.decontaminate; its scores may be too high. Decontamination did not read all of this text: add a file "
        "with it to seeds.decontaminate."
    )
    assert _run(tmp_path)["warning"] == warning
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [warning]


@pytest.mark.parametrize("seeds", [SEEDS[:1], SEEDS[1:2]], ids=["found", "overlapping"])
@pytest.mark.parametrize(
    "lists", [{}, {"lists": {"source": "import", "file": "x.csv"}}], ids=["generated", "imported"]
)
def test_either_kind_is_a_warning(tmp_path: Path, monkeypatch, seeds: list[str], lists: dict) -> None:
    monkeypatch.setitem(globals(), "SEEDS", seeds)
    assert _run(tmp_path, **lists)["warning"]


@pytest.mark.parametrize("imported", [False, True], ids=["generated", "imported"])
def test_decontamination_leaves_nothing_to_warn_of(tmp_path: Path, imported: bool) -> None:
    """On the same data, with the same n-grams and limit."""
    from rankrefine.import_lists import run as import_lists
    from rankrefine.seeds import run as seeds

    _run(tmp_path)
    lines = [json.dumps({"text": text, "list_sent": [text, "Another one."]}) for text in SEEDS]
    (tmp_path / "notes.jsonl").write_text("\n".join(lines))
    write_manifest(tmp_path / "notes.json", source="notes", kind="dataset", path=tmp_path / "notes.jsonl")
    listed = {"decontaminate": ["sts"], "sources": [{"name": "notes", "source": "notes"}]}
    lists = {"source": "import", "file": "notes"} if imported else {}
    settings = config.complete({"seeds": listed, "lists": lists})
    notes, sts = tmp_path / "notes.json", tmp_path / "data.json"
    pool, stats = tmp_path / "pool.parquet", tmp_path / "pool.json"
    if imported:
        import_lists.run(settings, notes, [sts], pool, stats, tmp_path / "shard.parquet", tmp_path / "shard.json")
    else:
        seeds.run(settings, [notes, sts], pool, stats)
    overlap.run(settings, pool, stats, tmp_path / "task.json", tmp_path / "out.json")
    record = io.read_json(tmp_path / "out.json")
    assert (record["decontaminated"], record["warning"]) == (True, "")
    assert record["seeds"] == len(io.read_table(pool)) >= 1


def test_no_warning_where_nothing_overlaps(tmp_path: Path, monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(globals(), "SEEDS", SEEDS[2:])
    record = _run(tmp_path)
    assert (record["decontaminated"], record["warning"]) == (True, "")
    assert not [each for each in caplog.records if each.levelname == "WARNING"]


def test_imported_lists_are_all_used(tmp_path: Path) -> None:
    assert _run(tmp_path, lists={"source": "import", "file": "x.csv"})["seeds"] == 4
