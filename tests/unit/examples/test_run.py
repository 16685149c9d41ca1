"""Training examples: what is kept of shards and files, and why the rest is dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.config import load as config
from rankrefine.config.views import for_rule
from rankrefine.errors import UserError
from rankrefine.examples import run as examples

GOOD = ("A cat sleeps on the mat.", "A feline rests on the rug.", "A cat jumps off the mat.")
DROPPED = {  # reason -> anchor, positive, negative
    "anchor: empty": ("...", GOOD[1], GOOD[2]),
    "positive: empty": ("A first boat lies here.", None, GOOD[2]),
    "positive: copy of the anchor": ("A second boat lies here.", "a second boat lies here", GOOD[2]),
    "positive: refusal": ("A third boat lies here.", "I'm sorry, but I cannot do that.", GOOD[2]),
    "positive: marker": ("A fourth boat lies here.", "Rewritten sentence: here lies a boat.", GOOD[2]),
    "positive: newline": ("A fifth boat lies here.", "Here lies\na boat.", GOOD[2]),
    "positive: too short": ("A sixth boat lies here.", "A boat.", GOOD[2]),
    "negative: empty": ("A seventh boat lies here.", "Here lies a ship.", " "),
    "negative: copy of the anchor or positive": (
        "The next boat lies here.",
        "Here lies a ship.",
        "here lies a ship!",
    ),
    "negative: too long": ("A ninth boat lies here.", "Here lies a ship.", "far " * 50),
    "positive: in an evaluation set": ("A tenth boat lies here.", "The door is open.", GOOD[2]),
    "negative: in an evaluation set": ("Another boat lies here.", "Here lies a ship.", "the DOOR is open"),
    "anchor: in an evaluation set": ("The door is open!", "Nobody closed the door.", GOOD[2]),
    "anchor: overlaps an evaluation set": ("I say the door is open now.", "Nobody closed the door.", GOOD[2]),
    "duplicate": tuple(text.upper() for text in GOOD),
}


def run(folder: Path, data: Path | None = None, **section: Any) -> tuple[list[dict], dict]:
    """Run the stage and return the rows of its output and its record."""
    (folder / "sts.jsonl").write_text('{"sentence1": "The door is open.", "sentence2": "x"}\n', encoding="utf-8")
    write_manifest(folder / "sts.json", source="sts", kind="dataset", path=folder / "sts.jsonl")
    section = {"recipe": "syncse_partial", "count": 3, **section}
    whole = {
        "examples": section,
        "seeds": {"decontaminate": ["sts"], "overlap_limit": 0.2},
        "generate": {"shard_size": 2},
    }
    given = for_rule(config.complete(whole | {"base": {"objective": "contrastive"}}), "examples")
    output, stats = folder / "examples.parquet", folder / "examples.json"
    examples.run(given, None if data else folder, data, [folder / "sts.json"], output, stats)
    return io.read_table(output, examples.SCHEMA).to_pylist(), io.read_json(stats)


def imported(folder: Path, rows: list[tuple], **section: Any) -> tuple[list[dict], dict]:
    """Import rows of sent0, sent1, hard_neg."""
    frame = pd.DataFrame(rows, columns=["sent0", "sent1", "hard_neg"][: len(rows[0])])
    frame.to_json(folder / "a.jsonl", orient="records", lines=True)
    write_manifest(folder / "a.json", source="a.jsonl", kind="dataset", path=folder / "a.jsonl", revision="r1")
    return run(folder, folder / "a.json", recipe="import", file="a.jsonl", **section)


ROLES = {"anchor": "sentence", "positive": "same", "negative": "other"}


def shard(folder: Path, name: str, rows: list[dict], *examples: dict[str, str]) -> None:
    """A shard of the steps `same` and `other`, as `synthesize` writes it."""
    common = {"seed_id": "s", "source": "nyt", "status": "complete", "reasons": [None, None], "tokens": 9}
    table = [common | row for row in rows]
    pd.DataFrame(table).to_parquet(folder / f"{name}.parquet", index=False)
    origin = {"model": "m", "revision": "1", "prompt": "p", "prompt_sha256": "0", "prompt_text": "t", "sampling": {}}
    io.write_json(folder / f"{name}.json", origin | {"steps": ["same", "other"], "examples": examples or [ROLES]})


def test_every_reason_is_counted_and_nothing_bad_is_kept(tmp_path: Path) -> None:
    rows, record = imported(tmp_path, [GOOD, *DROPPED.values()])
    assert [(row["anchor"], row["positive"], row["negative"]) for row in rows] == [GOOD]
    assert {reason: count for reason, count in record["dropped"].items() if count} == dict.fromkeys(DROPPED, 1)
    assert (record["read"], record["kept"], record["negatives"]) == (1 + len(DROPPED), 1, 1)
    assert set(record["examples"]) == set(DROPPED)
    assert record["made_by"] == [{"model": "a.jsonl", "revision": "r1", "imported": True}]


def test_examples_without_negatives_are_complete(tmp_path: Path) -> None:
    rows, record = imported(tmp_path, [GOOD[:2]], columns={"anchor": "sent0", "positive": "sent1"})
    assert (rows[0]["positive"], rows[0]["negative"], record["negatives"]) == (GOOD[1], None, 0)


def test_shards_are_joined_in_order_and_say_who_wrote_them(tmp_path: Path) -> None:
    texts = [
        {"sentence": f"Sentence {n} is here.", "same": f"Here is number {n}.", "other": "No, no, no."} for n in "abcd"
    ]
    shard(tmp_path, "00000", texts[:2])
    shard(tmp_path, "00001", texts[2:])  # one row more than examples.count needs
    rows, record = run(tmp_path)
    assert [row["anchor"] for row in rows] == [text["sentence"] for text in texts[:3]]
    assert {row["shard"] for row in rows} == {"00000", "00001"} and rows[0]["model"] == "m"
    assert record["sources"]["nyt"]["kept"] == 3 and len(record["made_by"]) == 1
    fewer, _ = run(tmp_path, count=1)
    assert fewer == rows[:1]


def test_drafts_that_were_given_up_are_counted_with_their_reason(tmp_path: Path) -> None:
    row = {"sentence": "A cat sleeps here.", "same": None, "other": None, "reasons": ["cut off", None]}
    refused = row | {"same": GOOD[1], "reasons": [None, None], "status": "prompt"}  # the engine refused step `other`
    shard(tmp_path, "00000", [row, {"sentence": GOOD[0], "same": GOOD[1], "other": GOOD[2]}])
    shard(tmp_path, "00001", [refused])
    rows, record = run(tmp_path)
    assert len(rows) == 1
    assert (record["dropped"]["given up: same: cut off"], record["dropped"]["given up: prompt"]) == (1, 1)


def test_a_seed_sentence_gives_an_example_for_each_of_the_recipes_roles(tmp_path: Path) -> None:
    row = {"sentence": GOOD[0], "same": GOOD[1], "other": GOOD[2]}
    given_up = {
        "sentence": "A boat lies here.",
        "same": "Here lies a ship.",
        "other": None,
        "reasons": [None, "empty"],
    }
    shard(tmp_path, "00000", [row, given_up], {"anchor": "sentence", "positive": "same"}, ROLES)
    rows, record = run(tmp_path, count=2)
    assert [(row["positive"], row["negative"]) for row in rows] == [
        (GOOD[1], None),
        GOOD[1:],
        ("Here lies a ship.", None),
    ]
    assert (record["read"], record["dropped"]) == (4, {"given up: other: empty": 1})


def test_nothing_left_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No training example is left \(0 of 1 kept; dropped: 1 positive: empty\)"):
        imported(tmp_path, [(GOOD[0], " ", GOOD[2])])
    assert not (tmp_path / "examples.parquet").exists()


def test_a_missing_column_of_a_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"examples\.file: .*a\.jsonl, line 1 has no column 'nli_hard'; available"):
        imported(tmp_path, [GOOD], columns={"anchor": "sent0", "positive": "sent1", "negative": "nli_hard"})


def test_a_short_shard_is_one_sentence(tmp_path: Path) -> None:
    shard(tmp_path, "00000", [{"sentence": "A.", "same": "B.", "other": "C."}])
    with pytest.raises(UserError, match=r"00000\.parquet has 1 rows instead of 2; delete it and run again"):
        run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"examples": {"recipe": "import"}}, "examples.recipe is import, but examples.file is null"),
        ({"examples": {"file": "a.csv"}}, "examples.file is set, but examples.recipe is none"),
        ({"examples": {"recipe": "syncse_partial"}, "base": {}}, "base.objective is none, which trains on no pairs"),
        (
            {"examples": {"recipe": "syncse_partial"}, "base": {"data": "x"}},
            "base.data and examples.recipe are both set",
        ),
        ({"examples": {"min_words": 50}}, r"examples.min_words \(50\) is above examples.max_words \(40\)"),
        ({"examples": {"columns": {"anchor": "a"}}}, "examples.columns: the key 'positive' is missing"),
        ({"examples": {"columns": {"anchor": "a", "positive": "b", "label": "c"}}}, "examples.columns: .*label"),
    ],
)
def test_conditions_between_keys(changes: dict, message: str) -> None:
    base = {"objective": "contrastive"} if changes.get("base") != {} else {}
    with pytest.raises(UserError, match=message):
        config.complete(json.loads(json.dumps(changes)) | {"base": base | changes.get("base", {})})
