"""Seed extraction from small sources: formats, duplicates, decontamination, order, and every error."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankrefine.assets.manifest import write_manifest
from rankrefine.config import load as configuration
from rankrefine.errors import UserError
from rankrefine.seeds import run as seeds
from rankrefine.text.normal_form import text_hash
from rankrefine.text.words import words

ANIMALS = ["A red fox jumps over the wall.", "Two grey geese swim on our pond.", "The last bear sleeps until spring."]


def _run(folder: Path, *sources: dict, **section: object) -> tuple[list[dict], dict]:
    """Run the stage with `sources` (name, source, …) and return the rows of the pool and its record."""
    section = {"decontaminate": [], **section}
    config = _config({"sources": list(sources), **section})
    assets = []
    for number, source in enumerate({*(s["source"] for s in sources), *section["decontaminate"]}):
        assets.append(folder / f"asset{number}.json")
        write_manifest(assets[-1], source=source, kind="dataset", path=source)
    seeds.run(config, assets, folder / "pool.parquet", folder / "pool.json")
    return pq.read_table(folder / "pool.parquet").to_pylist(), json.loads((folder / "pool.json").read_text())


def _config(section: dict, **changes: object) -> dict:
    """The keys that the stage reads, and no others."""
    config = configuration.complete({"seeds": section, **changes})
    return {"seed": config["seed"], "seeds": {key: config["seeds"][key] for key in config["seeds"] if key != "count"}}


def _text(folder: Path, lines: list[str], name: str = "a") -> dict:
    path = folder / f"{name}.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"name": name, "source": str(path)}


# --- formats


def _as_txt(path: Path) -> None:
    path.write_text("\ufeff" + "\r\n".join(ANIMALS), encoding="utf-8")  # as a Windows editor writes it


def _as_csv(path: Path) -> None:
    path.write_text("id,text\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(ANIMALS)), encoding="utf-8")


def _as_tsv(path: Path) -> None:
    path.write_text("id\ttext\n" + "".join(f"{i}\t{text}\n" for i, text in enumerate(ANIMALS)), encoding="utf-8")


def _as_jsonl(path: Path) -> None:
    path.write_text("\n\n".join(json.dumps({"id": 1, "text": text}) for text in ANIMALS), encoding="utf-8")


def _as_parquet(path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2, 3], "text": pa.array(ANIMALS).dictionary_encode()}), path)


@pytest.mark.parametrize("write", [_as_txt, _as_csv, _as_tsv, _as_jsonl, _as_parquet])
def test_every_format_gives_the_same_sentences(tmp_path: Path, write) -> None:
    path = tmp_path / f"data.{write.__name__.removeprefix('_as_')}"
    write(path)
    rows, record = _run(tmp_path, {"name": "a", "source": str(path)})
    assert sorted(row["text"] for row in rows) == sorted(ANIMALS)
    assert record["kept"] == record["read"] == 3


def test_a_folder_has_one_parquet_file_per_split(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for split, text in zip(("train", "dev", "test"), ANIMALS, strict=True):
        pq.write_table(pa.table({"sentence": [text]}), tmp_path / "data" / f"{split}.parquet")
    source = {"name": "a", "source": str(tmp_path / "data"), "column": "sentence", "split": "dev"}
    assert [row["text"] for row in _run(tmp_path, source)[0]] == [ANIMALS[1]]


# --- errors


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"fine\nna\xefve\n", r"a.txt is not UTF-8 \(line 2, byte 7\); save it as UTF-8."),
        ("a.txt", "Ein Satz.".encode("utf-16"), r"a.txt is not UTF-8 \(line 1, byte 0\)"),
        ("a.csv", b"id,text\n1,na\xefve\n", r"a.csv is not UTF-8 \(line 2, byte 12\)"),
        ("a.csv", b"id,sentence\n1,x\n", "a.csv has no column 'text'; available columns: id, sentence."),
        ("a.csv", b"id,text\n1,x,y\n", "a.csv, line 2 has 3 fields, but the header has 2; put cells"),
        ("a.csv", b'id,text\n1,"x\n2,y\n', r"a.csv, line 3 is malformed \(unexpected end of data\)"),
        ("a.tsv", b"id\tsentence\n1\tx\n", "a.tsv has no column 'text'; available columns: id, sentence."),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', r"a.jsonl, line 2 is not valid JSON \("),
        ("a.jsonl", b'{"text": "\\ud800"}\n', r"a.jsonl, line 1 is not valid JSON \("),
        ("a.jsonl", b'["x"]\n', "a.jsonl, line 1 is not a JSON object."),
        ("a.jsonl", b'{"body": "x", "id": 1}\n', "a.jsonl, line 1 has no column 'text'; available columns: body, id."),
        ("a.jsonl", b'{"text": 3}\n', "a.jsonl, line 1: the value of 'text' is 3, which is not text."),
        ("a.parquet", b"PAR1 and no more", "a.parquet is corrupt or not a parquet file"),
        ("a.parquet", b"", "a.parquet is corrupt or not a parquet file"),
        (
            "a.docx",
            b"x",
            r"a.docx has an unknown extension; use one of .txt, .csv, .tsv, .jsonl, .ndjson, .json",
        ),
        ("a.txt", b"", r"seeds.sources: 'a' \(.*a.txt\) contains no text."),
        ("a.txt", b"\n \n", r"seeds.sources: 'a' \(.*a.txt\) contains no text."),
        ("a.csv", b"", r"seeds.sources: 'a' \(.*a.csv\) contains no text."),
        ("a.csv", b"id,text\n", r"seeds.sources: 'a' \(.*a.csv\) contains no text."),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        _run(tmp_path, {"name": "a", "source": str(tmp_path / name)})
    assert not (tmp_path / "pool.parquet").exists()
    assert not (tmp_path / "pool.json").exists()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"column": "body"}, "train.parquet has no column 'body'; available columns: text, id."),
        ({"column": "id"}, "train.parquet, row 1: the value of 'id' is 1, which is not text."),
        ({"split": "dev"}, "data has no split 'dev'; available splits: test, train."),
    ],
)
def test_missing_split_or_column_names_those_there_are(tmp_path: Path, extra: dict, message: str) -> None:
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        pq.write_table(pa.table({"text": ["x"], "id": [1]}), tmp_path / "data" / f"{split}.parquet")
    with pytest.raises(UserError, match=message):
        _run(tmp_path, {"name": "a", "source": str(tmp_path / "data"), **extra})


def test_nothing_left_tells_what_was_dropped(tmp_path: Path) -> None:
    source = _text(tmp_path, ["Too short.", "no capital letter starts this one.", "another without a capital letter."])
    message = r"is left \(0 of 3 kept; dropped: 1 too short, 2 does not match require_pattern\); loosen the filters"
    with pytest.raises(UserError, match=message):
        _run(tmp_path, source)
    assert not (tmp_path / "pool.parquet").exists()


def test_an_asset_without_manifest_is_named(tmp_path: Path) -> None:
    config = _config({"sources": [_text(tmp_path, ANIMALS)], "decontaminate": []})
    with pytest.raises(UserError, match=r"--assets has no manifest of .*a.txt; available: none."):
        seeds.run(config, [], tmp_path / "pool.parquet", tmp_path / "pool.json")


# --- repeats and evaluation sets


def test_exact_duplicates_are_dropped(tmp_path: Path) -> None:
    rows, record = _run(tmp_path, _text(tmp_path, [*ANIMALS, ANIMALS[0], "A RED FOX jumps over the wall!"]))
    assert len(rows) == 3
    assert record["dropped"]["duplicate"] == 2


def test_evaluation_sentences_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "sts").mkdir()
    known = {"sentence1": ["a red fox jumps over the wall"], "sentence2": ["Then two grey geese swim on a lake."]}
    pq.write_table(pa.table(known | {"score": [1.0]}), tmp_path / "sts" / "test.parquet")
    sts = [str(tmp_path / "sts")]
    rows, record = _run(tmp_path, _text(tmp_path, ANIMALS), decontaminate=sts, overlap_ngram=4, overlap_limit=0.5)
    # "Two grey geese swim on our pond": 2 of its 4 runs of 4 words are in sentence2
    assert [row["text"] for row in rows] == [ANIMALS[2]]
    assert record["dropped"]["in an evaluation set"] == record["dropped"]["overlaps an evaluation set"] == 1
    assert record["examples"]["overlaps an evaluation set"] == [ANIMALS[1]]
    rows, _ = _run(tmp_path, _text(tmp_path, ANIMALS), decontaminate=sts, overlap_ngram=4, overlap_limit=0.51)
    assert {row["text"] for row in rows} == {ANIMALS[1], ANIMALS[2]}


# --- order and statistics


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)), st.permutations(range(3)))
def test_the_pool_does_not_depend_on_the_order_of_lines_or_sources(tmp_path_factory, lines, order) -> None:
    folder = tmp_path_factory.mktemp("order")
    texts = [*ANIMALS, "A red fox jumps over the wall!"]
    sources = [_text(folder, [texts[i] for i in lines], name) for name in ("a", "b", "c")]
    rows, record = _run(folder, *(sources[i] for i in order))
    assert [row["text"] for row in rows] == _EXPECTED
    assert {row["source"] for row in rows} == {"a"}  # the same sentence is in all three: the first name has it
    assert record["kept"] == 3


def _by_hash(texts: list[str]) -> list[str]:
    return sorted(texts, key=lambda text: text_hash(text, 2024))


_EXPECTED = [
    text
    for i, text in enumerate(_by_hash([*ANIMALS, "A red fox jumps over the wall!"]))
    if words(text) not in map(words, _by_hash([*ANIMALS, "A red fox jumps over the wall!"])[:i])
]


def test_seed_changes_the_order_and_not_the_ids(tmp_path: Path) -> None:
    source = _text(tmp_path, [f"Number {i} of these sentences is {word}." for i, word in enumerate("abcdefghijkl")])
    section = {"sources": [source], "decontaminate": [], "near_duplicate_threshold": 1.0}
    write_manifest(tmp_path / "m.json", source=source["source"], kind="dataset", path=source["source"])
    pools = []
    pool, record = tmp_path / "pool.parquet", tmp_path / "pool.json"
    for random_seed in (1, 2):
        seeds.run(_config(section, seed=random_seed), [tmp_path / "m.json"], pool, record)
        pools.append(pq.read_table(pool).to_pylist())
    assert pools[0] != pools[1]
    assert sorted(map(str, pools[0])) == sorted(map(str, pools[1]))
    assert all(len(row["seed_id"]) == 16 and int(row["seed_id"], 16) >= 0 for row in pools[0])
    assert len({row["seed_id"] for row in pools[0]}) == 12


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    _run(tmp_path, _text(tmp_path, ANIMALS))
    first = (tmp_path / "pool.parquet").read_bytes()
    _, record = _run(tmp_path, _text(tmp_path, ANIMALS))
    assert (tmp_path / "pool.parquet").read_bytes() == first
    assert record["config"] == _config(record["config"]["seeds"])


def test_statistics_add_up_per_source_and_reason(tmp_path: Path) -> None:
    one = _text(tmp_path, [*ANIMALS, "Short.", "", "no capital letter is in here."], "one")
    two = _text(tmp_path, [ANIMALS[0], "Brief.", "Tiny."], "two")
    rows, record = _run(tmp_path, one, two)
    assert record["read"] == 9
    assert record["kept"] == len(rows) == 3
    assert {r: n for r, n in record["dropped"].items() if n} == {
        "empty": 1,
        "too short": 3,
        "does not match require_pattern": 1,
        "duplicate": 1,
    }
    parts = record["sources"].values()
    assert [part["read"] for part in parts] == [6, 3]
    assert all(part["read"] == part["kept"] + sum(part["dropped"].values()) for part in parts)
    assert {r: sum(p["dropped"][r] for p in parts) for r in record["dropped"]} == record["dropped"]
    assert sorted(record["examples"]["too short"]) == ["Brief.", "Short.", "Tiny."]
    assert record["stage"] == "seeds"
