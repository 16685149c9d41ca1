"""Seed sentences from the shards of `write`: what is read, how it is counted, and who wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rankrefine import io
from rankrefine.config import load as configuration
from rankrefine.errors import UserError
from rankrefine.seeds import from_model
from rankrefine.seeds import run as seeds

GENRES = ("news", "questions")
SCHEMA = pa.schema({"source": pa.string(), "sentences": pa.list_(pa.string())})
ORIGIN = {"model": "hub:org/llm@v1", "revision": "beef", "prompt": "scratch", "prompt_sha256": "ab"}
ORIGIN |= {"prompt_text": "system: Write.", "sampling": {"temperature": 1.0}}
WORDS = ("boat", "door", "hill", "lamp", "road", "tree", "wall", "yard")


def shard(folder: Path, name: str, sentences: list[list[str]], **changes: Any) -> None:
    """Write a shard with these sentences, whose genres take turns."""
    genres = [GENRES[row % 2] for row in range(len(sentences))]
    io.write_table(folder / f"{name}.parquet", pa.table([genres, sentences], schema=SCHEMA))
    io.write_json(folder / f"{name}.json", ORIGIN | changes)


def run(folder: Path, requests: int, size: int = 4, files: dict[str, str] | None = None, written: bool = True) -> dict:
    """Run the stage on the shards and the files; return the texts of the pool by source, and its record."""
    sources = [{"name": name, "source": text} for name, text in (files or {}).items()]
    config = configuration.complete(
        {"seeds": {"sources": [*sources, {"name": "mine", "source": "written"}], "decontaminate": []}}
    )
    part = {"seed": config["seed"], "seeds": {key: config["seeds"][key] for key in config["seeds"] if key != "count"}}
    output, stats = folder / "pool.parquet", folder / "pool.json"
    seeds.run(part, [], output, stats, *((folder, requests, size) if written else ()))
    texts: dict[str, list[str]] = {}
    for row in io.read_table(output).to_pylist():
        texts.setdefault(row["source"], []).append(row["text"])
    return {"record": io.read_json(stats), **{name: sorted(found) for name, found in texts.items()}}


def sentence(word: str) -> str:
    """A sentence that the filters keep."""
    return f"Every {word} of the old {word} maker is green."


def test_the_sentences_of_the_requests_pass_the_filters_and_are_counted_by_genre(tmp_path: Path) -> None:
    rows = [[sentence(word)] for word in WORDS]
    shard(tmp_path, "00000", [*rows[:3], [sentence("hill").upper(), "no capital letter is at its start."]])
    shard(tmp_path, "00001", rows[4:])
    found = run(tmp_path, requests=6)  # the last shard has more, from a run with more requests
    assert found["mine/news"] == [sentence("boat"), sentence("hill"), sentence("road")]
    assert found["mine/questions"] == [sentence("door"), sentence("tree")]
    record = found["record"]
    assert (record["read"], record["kept"]) == (7, 5)
    dropped = record["sources"]["mine/questions"]["dropped"]
    assert (dropped["does not match require_pattern"], dropped["matches exclude_pattern"]) == (1, 1)
    assert list(record["sources"]) == ["mine/news", "mine/questions"]


def test_the_record_says_who_wrote_them_once(tmp_path: Path) -> None:
    for number in range(2):
        shard(tmp_path, f"{number:05d}", [[sentence(word)] for word in WORDS[number * 4 :][:4]], seconds=number)
    record = run(tmp_path, requests=8)["record"]
    assert (record["made_by"], record["shards"]) == ([ORIGIN], ["00000", "00001"])
    shard(tmp_path, "00001", [[sentence(word)] for word in WORDS[4:]], prompt="other")
    assert run(tmp_path, requests=8)["record"]["made_by"] == [ORIGIN, ORIGIN | {"prompt": "other"}]


def test_a_shard_that_is_too_small_or_missing_is_refused(tmp_path: Path) -> None:
    shard(tmp_path, "00000", [[sentence(word)] for word in WORDS[:3]])
    with pytest.raises(UserError, match=r"00000\.parquet has 3 rows instead of 4; delete it and run again\."):
        run(tmp_path, requests=4)
    with pytest.raises(UserError, match=r"no file .*00001\.parquet"):
        run(tmp_path, requests=7, size=3)


def test_answers_without_sentences_are_no_text(tmp_path: Path) -> None:
    shard(tmp_path, "00000", [[], []])
    with pytest.raises(UserError, match=r"seeds\.sources: 'mine' \(written\) contains no text\."):
        run(tmp_path, requests=2)


def test_shards_must_be_given_with_their_sizes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--written requires --requests and --shard-size\.$"):
        from_model.shards(tmp_path, 3, None)
    with pytest.raises(UserError, match=r"'mine' is written by the language model; give its shards by --written\."):
        run(tmp_path, requests=4, written=False)
