"""Training examples: what is kept of shards and files, and why the rest is dropped."""

from __future__ import annotations

import json
import zipfile
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

IMPORT, WRITE = {"recipe": "import", "file": "a.csv"}, {"recipe": "syncse_partial"}
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


def run(
    folder: Path, data: Path | None = None, objective: str = "contrastive", **section: Any
) -> tuple[list[dict], dict]:
    """Run the stage and return the rows of its output and its record."""
    (folder / "sts.jsonl").write_text('{"sentence1": "The door is open.", "sentence2": "x"}\n', encoding="utf-8")
    write_manifest(folder / "sts.json", source="sts", kind="dataset", path=folder / "sts.jsonl")
    section = {"recipe": "syncse_partial", "count": 3, **section}
    whole = {
        "examples": section,
        "seeds": {"decontaminate": ["sts"], "overlap_limit": 0.2},
        "generate": {"shard_size": 2},
    }
    given = for_rule(config.complete(whole | {"base": {"objective": objective}}), "examples")
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


SCORED = {"anchor": "a", "positive": "b", "score": "label"}
PAIRS = [("A cat sleeps here.", "A dog sleeps here.", 3.0), ("One boat is red.", "One boat, red, is here.", 4.5)]


def from_file(folder: Path, name: str, content: str | bytes, **section: Any) -> tuple[list[dict], dict]:
    """Import a file of scored pairs with this content."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    write_manifest(folder / "a.json", source=name, kind="dataset", path=folder / name)
    section = {"recipe": "import", "file": name, "columns": SCORED, "score_range": 5, **section}
    return run(folder, folder / "a.json", objective="cosine", **section)


def zipped(folder: Path, *names: str, content: str = "") -> bytes:
    """An archive with these members."""
    with zipfile.ZipFile(folder / "made", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return (folder / "made").read_bytes()


CSV = 'a,b,label,more\nA cat sleeps here.,A dog sleeps here.,3,x\n"One boat is red.","One boat, red, is here.",4.5,\n'
LINES = "".join(
    json.dumps({"a": a, "b": b, "label": label, "more": None}) + "\n"
    for a, b, label in [*PAIRS[:1], (*PAIRS[1][:2], "4.5")]
)


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("a.csv", CSV, SCORED),
        ("a.jsonl", LINES, SCORED),
        ("a.csv", CSV.partition("\n")[2], {"anchor": 1, "positive": 2, "score": 3}),
        (
            "a.tsv",
            "".join("\t".join(map(str, (*row, "x"))) + "\n" for row in PAIRS),
            {"anchor": 1, "positive": 2, "score": 3},
        ),
    ],
    ids=["comma and quotes", "text as labels", "no header", "no header, tabs"],
)
def test_published_pairs_with_scores_are_read_in_every_shape(
    tmp_path: Path, name: str, content: str, columns: dict
) -> None:
    for file, written in ((name, content), ("a.zip", zipped(tmp_path, f"data/{name}", content=content))):
        rows, record = from_file(tmp_path, file, written, columns=columns)
        found = [(row["anchor"], row["positive"], 5 * row["score"]) for row in rows]
        assert found == [(a, b, pytest.approx(score)) for a, b, score in PAIRS]
        assert record["kept"] == 2 and rows[0]["negative"] is None


def test_rows_with_a_score_that_cannot_be_used_are_counted_and_dropped(tmp_path: Path) -> None:
    labels = ["2", "", "NaN", "about 3", "5.5", "-1", "5"]
    lines = [f"Boat number {n} is here.,A boat named {n} was there.,{label}" for n, label in enumerate(labels)]
    rows, record = from_file(tmp_path, "a.csv", "\n".join(["a,b,label", *lines]))
    assert [round(row["score"], 6) for row in rows] == [0.4, 1]
    dropped = {reason: count for reason, count in record["dropped"].items() if count}
    assert dropped == {"score: not a number": 3, "score: not from 0 to score_range": 2}
    lines = [{"a": "A cat is here.", "b": "A dog is here.", "label": label} for label in (True, None, [1], 10**400)]
    with pytest.raises(
        UserError, match=r"No training example is left \(0 of 4 kept; dropped: 4 score: not a number\)"
    ):
        from_file(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines)))


def test_refusals_duplicates_and_identical_pairs_of_a_file_are_dropped(tmp_path: Path) -> None:
    others = [
        PAIRS[0],
        ("The cat is old.", "the cat is old", 5),
        ("My cat is old.", "I'm sorry, but I cannot do that.", 1),
    ]
    frame = pd.DataFrame([*PAIRS, *others], columns=["a", "b", "label"])
    _, record = from_file(tmp_path, "a.csv", frame.to_csv(index=False))
    dropped = {reason: count for reason, count in record["dropped"].items() if count}
    assert dropped == {"duplicate": 1, "positive: copy of the anchor": 1, "positive: refusal": 1}


@pytest.mark.parametrize(
    ("name", "content", "section", "message"),
    [
        ("a.csv", CSV, {"columns": SCORED | {"score": "s"}}, r"examples.file: .*a.csv has no column 's'; available"),
        (
            "a.csv",
            CSV,
            {"columns": {"anchor": 1, "positive": 9}},
            r"has no column '9'; available columns: 1, 2, 3, 4\.$",
        ),
        ("a.jsonl", LINES, {"columns": {"anchor": 1, "positive": 2}}, r"has no column '1'; available columns: a, b"),
        ("a.csv", CSV, {"member": "b.csv"}, r"^examples.member: .*a.csv is no .zip file; remove the name of a file"),
        (
            "a.zip",
            "PK",
            {},
            r"^examples.member: .*a.zip cannot be read \(File is not a zip file\); it may be truncated",
        ),
    ],
)
def test_a_file_of_another_shape_is_one_sentence(
    tmp_path: Path, name: str, content: str, section: dict, message: str
) -> None:
    objective = {"columns": section["columns"] | {"score": 3}} if 1 in section.get("columns", {}).values() else {}
    with pytest.raises(UserError, match=message):
        from_file(tmp_path, name, content, **section | objective)


def test_a_file_of_an_archive_is_chosen_by_its_name_and_never_unpacked(tmp_path: Path) -> None:
    names = ("../a.jsonl", "b/b.jsonl", "readme.md", "__MACOSX/b/._b.jsonl", "b/.hidden.csv")
    archive = zipped(tmp_path, *names, content=LINES)
    with pytest.raises(
        UserError, match=r"a.zip has several data files; name one of .* read: \.\./a\.jsonl, b/b\.jsonl\.$"
    ):
        from_file(tmp_path, "a.zip", archive)
    with pytest.raises(UserError, match=r"a.zip has no data file readme.md; name one of"):
        from_file(tmp_path, "a.zip", archive, member="readme.md")
    for name in names[:2]:
        assert from_file(tmp_path, "a.zip", archive, member=name)[1]["kept"] == 2
    assert not (tmp_path.parent / "a.jsonl").exists() and not (tmp_path / "b").exists()
    with pytest.raises(UserError, match=r"a.zip has no data file; unpack it: only \.txt, .* are read\.$"):
        from_file(tmp_path, "a.zip", zipped(tmp_path, "a.parquet"))


def test_a_damaged_encrypted_or_huge_member_is_one_sentence(tmp_path: Path, monkeypatch) -> None:
    archive = zipped(tmp_path, "a.jsonl", content=LINES)
    damaged = bytearray(archive)
    damaged[60] ^= 255  # of the compressed content
    with pytest.raises(UserError, match=r"examples.file: .*a.zip/a.jsonl cannot be read \(.*damaged"):
        from_file(tmp_path, "a.zip", bytes(damaged))
    encrypted = bytearray(archive)
    encrypted[encrypted.index(b"PK\1\2") + 8] |= 1  # the flags in the list of files
    with pytest.raises(UserError, match=r"^examples.member: .*a.zip: a.jsonl is encrypted; unpack it first"):
        from_file(tmp_path, "a.zip", bytes(encrypted))
    monkeypatch.setattr("rankrefine.data_files.archives.LARGEST", 100)
    with pytest.raises(UserError, match=r"a.jsonl unpacks to 0 GB; unpack it first"):
        from_file(tmp_path, "a.zip", archive)


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
        (
            {"examples": {**IMPORT, "columns": {"anchor": 1, "positive": "b"}}},
            "examples.columns has names and numbers; use numbers alone for a file without a header",
        ),
        (
            {"examples": {**IMPORT, "columns": {"anchor": "a", "positive": "a"}}},
            "examples.columns gives two roles the same column",
        ),
        (
            {"examples": {**IMPORT, "columns": SCORED, "scorer": "x"}},
            "examples.scorer is set, but examples.columns has a score; remove one of them",
        ),
        (
            {"examples": {**WRITE, "scorer": "x", "smoothing": 0.2}},
            "smoothing is set, but .* contrastive reads no scores",
        ),
        (
            {"examples": {**WRITE, "scorer": "x", "random_pairs": 2}},
            "random_pairs is set, but .* reads no scores; set",
        ),
        (
            {"examples": {**WRITE, "repair": True}},
            "examples.repair changes rated examples, but examples.scorer is null",
        ),
        (
            {"examples": {**WRITE, "smoothing": 0.2}, "base": {"objective": "cosine"}},
            "examples.smoothing changes rated examples, but examples.scorer is null; set examples.scorer",
        ),
        (
            {"examples": WRITE, "base": {"objective": "cosine"}},
            r"base.objective cosine reads scores, but examples.scorer is null; set examples.scorer\.$",
        ),
        (
            {"examples": IMPORT, "base": {"objective": "cosine"}},
            "reads scores, but .* set examples.scorer, or name a column of scores in examples.columns",
        ),
        (
            {
                "examples": {**WRITE, "scorer": "x", "repair": True},
                "base": {"objective": "decayed_contrastive", "guide": "x"},
            },
            "examples.repair leaves negatives out, but base.objective decayed_contrastive needs all",
        ),
    ],
)
def test_conditions_between_keys(changes: dict, message: str) -> None:
    base = {"objective": "contrastive"} if changes.get("base") != {} else {}
    with pytest.raises(UserError, match=message):
        config.complete(json.loads(json.dumps(changes)) | {"base": base | changes.get("base", {})})
