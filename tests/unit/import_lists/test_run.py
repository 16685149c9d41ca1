"""Import of existing ranking lists: what is read and dropped, and that nothing in a file is run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.config import load as config
from rankrefine.errors import UserError
from rankrefine.import_lists import run as import_lists
from rankrefine.import_lists.parse import MISSING, NO_LIST, NO_TEXT, NUMPY, SHORT, as_list
from rankrefine.ranking_lists.schema import SHARD
from rankrefine.text.duplicates import DUPLICATE, IN_SET, OVERLAPS

BOAT = ["A boat lies here.", "A ship lies here.", 'It\'s a "ship".']
DOOR = ["The door is open.", "Nobody closed the door."]


def write(path: Path, values: list, column: str = "list_sent") -> Path:
    """A table with one column of any kind."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"number": range(len(values)), column: values}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({column: value}) + "\n" for value in values), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream, delimiter="," if path.suffix == ".csv" else "\t", quoting=csv.QUOTE_MINIMAL)
            rows.writerows([[column], *([value] for value in values)])
    return path


def imported(file: Path, **changes) -> tuple[list[list[str]], dict, dict, dict]:
    """Import a file; return the lists of the shard, the records of pool and shard, and the pool by columns."""
    folder = file.parent
    section = {"source": "import", "file": str(file)} | changes.pop("lists", {})
    whole = config.complete({"lists": section, "seeds": {"decontaminate": []} | changes})
    keys = ("decontaminate", "overlap_ngram", "overlap_limit")
    given = {"lists": whole["lists"], "seeds": {key: whole["seeds"][key] for key in keys}}
    assets = []
    for number, name in enumerate(whole["seeds"]["decontaminate"]):
        assets.append(folder / f"asset{number}.json")
        write_manifest(assets[-1], source=name, kind="dataset", path=name)
    write_manifest(folder / "data.json", source=str(file), kind="dataset", path=file, revision="r1")
    outputs = [folder / name for name in ("pool.parquet", "pool_stats.json", "shard.parquet", "shard_stats.json")]
    import_lists.run(given, folder / "data.json", assets, *outputs)
    table = io.read_table(outputs[2], SHARD)
    pool = io.read_table(outputs[0]).to_pydict()
    return table["sentences"].to_pylist(), io.read_json(outputs[1]), io.read_json(outputs[3]), pool


@pytest.mark.parametrize("form", [".csv", ".jsonl", ".parquet"])
def test_list_literals_and_real_lists_of_every_format_are_the_same(tmp_path: Path, form: str) -> None:
    assert imported(write(tmp_path / f"literal{form}", [str(BOAT), str(DOOR)]))[0] == [BOAT, DOOR]
    if form != ".csv":
        assert imported(write(tmp_path / f"real{form}", [BOAT, DOOR]))[0] == [BOAT, DOOR]


def test_a_table_with_tabs_and_a_data_set_folder_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "tabs.tsv").write_text(f"list_sent\tn\n{DOOR}\t1\n", encoding="utf-8")
    assert imported(tmp_path / "tabs.tsv")[0] == [DOOR]
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder / "test.parquet", [BOAT], column="ranked")
    assert imported(folder, lists={"column": "ranked", "split": "test"})[0] == [BOAT]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2))
def test_what_python_prints_is_read_back(items: list[str]) -> None:
    written, real = as_list(repr(items)), as_list(items)
    assert written == real
    assert (real[1] == NO_TEXT) == any(not item.strip() for item in items)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, MISSING),
        ("", MISSING),
        ("a sentence", NO_LIST),
        ("['a', 'b'", NO_LIST),
        ("{'a': 1}", NO_LIST),
        ("['a' 'b', c]", NUMPY),
        ("['a'\n 'b'\n 'c']", NUMPY),
        ("['a' 'b' ... 'c']", NUMPY),
        ('["a b" "c d"]', NUMPY),
        ("[" * 5000, NO_LIST),
        ("-" * 100_000 + "1", NO_LIST),
        ("['a', '\\x00', 'b\x00']", NO_LIST),
        ("[]", SHORT),
        (["a sentence"], SHORT),
        ("['a', '']", NO_TEXT),
        ("['a', ' \\n']", NO_TEXT),
        (["a", None], NO_TEXT),
        ([1, 2], NO_TEXT),
        ([["a", "b"], ["c"]], NO_TEXT),
        (r"['a', '\ud800']", NO_TEXT),
    ],
)
def test_a_bad_value_has_its_reason(value: object, reason: str) -> None:
    assert as_list(value) == ([], reason)


def test_a_value_is_never_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    attacks = [
        "__import__('os').system('touch x')",
        "['a', __import__('os').system('touch x')]",
        "[open('x', 'w').write('a'), 'b']",
        "[open('x', 'w') for _ in 'ab']",
        "['a', f'{open(\"x\", \"w\")}']",
        "(lambda: open('x', 'w'))()",
    ]
    found, record, _, _ = imported(write(tmp_path / "lists.jsonl", [*attacks, str(DOOR)]))
    assert not (tmp_path / "x").exists()
    assert found == [DOOR]
    assert record["dropped"][NO_LIST] == len(attacks)
    assert record["examples"][NO_LIST][0] == f"row 1: {attacks[0]}"


def test_rows_are_counted_and_the_first_of_each_seed_is_kept(tmp_path: Path) -> None:
    again = ["a boat  lies HERE", "Another rewrite."]
    values = [str(BOAT), None, "nothing", str(again), "['one']", str(DOOR)]
    found, record, shard, pool = imported(write(tmp_path / "lists.parquet", values))
    assert found == [BOAT, DOOR]
    assert (record["read"], record["kept"], shard["read"], shard["kept"]) == (6, 2, 2, 2)
    counts = {reason: count for reason, count in record["dropped"].items() if count}
    assert counts == {MISSING: 1, NO_LIST: 1, import_lists.KNOWN[DUPLICATE]: 1, SHORT: 1}
    assert set(record["examples"]) == set(counts)
    assert pool["text"] == [BOAT[0], DOOR[0]] and len(set(pool["seed_id"])) == 2
    assert shard["imported"] is True
    assert shard["model"] == str(tmp_path / "lists.parquet") and shard["revision"] == "r1"
    assert shard["stage"] == record["stage"] == "import_lists"
    assert record["sources"] == {shard["model"]: {key: record[key] for key in ("read", "kept", "dropped")}}


def test_lists_whose_seed_is_in_an_evaluation_set_are_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "sts"
    folder.mkdir()
    pq.write_table(pa.table({"sentence1": ["THE door is open"], "sentence2": ["x"]}), folder / "test.parquet")
    near = ["He says the door is open.", "He talks."]
    file = write(tmp_path / "lists.jsonl", [BOAT, DOOR, near])
    guard = {"decontaminate": [str(folder)], "overlap_ngram": 2, "overlap_limit": 0.5}
    found, record, _, _ = imported(file, **guard)
    assert found == [BOAT]
    assert record["dropped"][import_lists.KNOWN[IN_SET]] == record["dropped"][import_lists.KNOWN[OVERLAPS]] == 1
    assert list(record["assets"]) == [str(folder)]
    assert imported(file)[0] == [BOAT, DOOR, near]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "a.jsonl",
            ["no", "list"],
            r"the column 'list_sent' of \S+a.jsonl contains no usable ranking list "
            r"\(0 of 2 kept; dropped: 2 not a list; row 1: no\)",
        ),
        ("a.parquet", [1, 2], r"a.parquet contains no usable .* \(0 of 2 kept; dropped: 2 not a list; row 1: 1\)"),
        ("a.csv", [], r"contains no usable ranking list \(0 of 0 kept; dropped: none; it has no rows\)"),
        ("a.txt", ["['a', 'b']"], r"a.txt has no columns, because it is a .txt file; use a table with list_sent"),
        ("a.xlsx", ["x"], r"a.xlsx has an unknown extension; use one of .txt, .csv"),
    ],
)
def test_an_unusable_file_is_one_sentence(tmp_path: Path, name: str, values: list, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        imported(write(tmp_path / name, values))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "shard.parquet").exists() and not (tmp_path / "pool.parquet").exists()


@pytest.mark.parametrize("form", [".csv", ".jsonl", ".parquet"])
def test_a_missing_column_names_those_there_are(tmp_path: Path, form: str) -> None:
    with pytest.raises(UserError, match=rf"a{form}.* has no column 'list_sent'; available columns: .*ranked"):
        imported(write(tmp_path / f"a{form}", [str(BOAT)], column="ranked"))


def test_a_file_of_which_most_rows_are_dropped_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def warnings() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]

    imported(write(tmp_path / "a.jsonl", [str(BOAT), "x", str(DOOR), "y"]))
    assert not warnings()
    imported(write(tmp_path / "b.jsonl", [str(BOAT), "['a'\n 'b']", "no list", "['a'\n 'b']"]))
    (message,) = warnings()
    assert message == (
        "lists.file: only 1 of 4 rows are used; 2 are dropped as 'a NumPy array as text, without commas', such as "
        "row 2: ['a' 'b']."
    )


@pytest.mark.parametrize(
    ("cell", "sentences"),
    [
        (r'["1 \/ 2", "half"]', ["1 / 2", "half"]),
        (r'["\ud83d\ude00", "a smile"]', ["😀", "a smile"]),
        (r"['It\'s', 'it is']", ["It's", "it is"]),
        (r'["It\'s", "it is"]', ["It's", "it is"]),  # Python, but no JSON
        ('("a", "b")', ["a", "b"]),
        ("['a\tb', 'c']", ["a b", "c"]),
    ],
)
def test_lists_as_text_are_json_or_python(cell: str, sentences: list[str]) -> None:
    assert as_list(cell) == (sentences, None)


@pytest.mark.parametrize("cell", ['["a", null]', '["a", true]', '["a", 1.5]', "['a', None]"])
def test_values_that_are_no_text_in_either_form_are_named(cell: str) -> None:
    assert as_list(cell) == ([], NO_TEXT)
