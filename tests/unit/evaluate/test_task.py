"""Checks of tasks and their data."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine import io
from rankrefine.assets import run as asset
from rankrefine.assets.manifest import write_manifest
from rankrefine.assets.mteb import known_task
from rankrefine.errors import UserError
from rankrefine.evaluate import catalogue, data_tables, task
from rankrefine.evaluate.catalogue import SUITES

PAIRS = {"sentence1": ["A.", "B.", "C."], "sentence2": ["a.", "b.", "c."], "score": [0.0, 2.5, 5.0]}


def _manifest(folder: Path, columns: dict, split: str = "test") -> Path:
    io.write_table(folder / "data" / f"{split}.parquet", pa.table(columns))
    write_manifest(folder / "data.json", source="embedded:stsb", kind="dataset", path=folder / "data", revision="r1")
    return folder / "data.json"


def test_a_task_that_fits(tmp_path: Path) -> None:
    task.run("STSBenchmark", _manifest(tmp_path, PAIRS), tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    file = tmp_path / "data" / "test.parquet"
    expected = {
        "task": "STSBenchmark",
        "module": "mteb",
        "kind": "pairs",
        "splits": {"test": ["test.parquet"]},
        "path": file.parent.as_posix(),
        "units": 3,
    }
    assert found == expected | {"files": {file.name: io.sha256(file)}, "source": "embedded:stsb", "revision": "r1"}


@pytest.mark.parametrize("name", [task for suite in ("sts", "reranking") for task in SUITES[suite]])
def test_mtebs_tasks_of_the_suites_are_known_and_on_test(name: str) -> None:
    assert known_task(name).eval_splits == ["test"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("STSBenchmrk", "MTEB has no task 'STSBenchmrk'; did you mean STSBenchmark"),
        ("sick-r", "did you mean SICK-R"),
        ("evalrank", "did you mean EvalRank"),
        ("qqqqqqqqqq", "mteb.get_tasks() lists all names"),
        ("STSBenchmark.v2", "STSBenchmark.v2 is the mean over the splits validation and test"),
        ("CIFAR10", "CIFAR10 is about image; only tasks about text alone are supported"),
    ],
)
def test_tasks_that_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(").replace(")", r"\)")):
        task.run(
            name,
            _manifest(tmp_path, PAIRS),
            tmp_path / "out.json",
            module=catalogue.module(name),
            own=[*catalogue.OWN],
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": None}, "has no column 'score'; available columns: sentence1, sentence2."),
        ({"sentence1": [1, 2, 3]}, "row 1: the value of 'sentence1' is 1, which is not text"),
        ({"sentence2": ["a.", None, None]}, "row 2: column sentence2 is empty; complete or remove the row"),
        ({"score": ["1", "2", "3"]}, "row 1: the value of 'score' is '1', which is text; save the column as numbers"),
        ({"score": [1.0, math.nan, 3.0]}, "row 2: the value of 'score' is nan, which is not a finite number"),
        ({"score": [1.0, 2.0, None]}, "row 3: column score is empty"),
        ({"score": [1, 1, 1]}, "all 3 scores are 1; rank"),
        ({"genre": ["a", "all", "b"]}, "row 2: the subset 'all' is a name reserved for all pairs"),
        ({"subset": [["a"], ["b"], ["c"]]}, "row 1: the value of 'subset' is \\['a'\\], but must be text"),
        ({column: pa.array([], v.type) for column, v in zip(PAIRS, pa.table(PAIRS), strict=True)}, "has no rows"),
    ],
)
def test_data_that_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    columns = {name: values for name, values in (PAIRS | change).items() if values is not None}
    with pytest.raises(UserError, match=message) as error:
        task.run("STSBenchmark", _manifest(tmp_path, columns), tmp_path / "out.json")
    assert str(tmp_path / "data" / "test.parquet") in str(error.value)
    assert not (tmp_path / "out.json").exists()


def test_a_missing_split_names_the_ones_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"STSBenchmark needs the split test: .*; available splits: dev\."):
        task.run("STSBenchmark", _manifest(tmp_path, PAIRS, split="dev"), tmp_path / "out.json")


def test_a_truncated_file(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path, PAIRS)
    file = tmp_path / "data" / "test.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match="corrupt or not a parquet file"):
        task.run("STSBenchmark", manifest, tmp_path / "out.json")


RERANKING = {"query": ["A?", "B?"], "positive": [["a"], ["b"]], "negative": [["x", "y"], ["z"]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"negative": None}, "has no column 'negative'; available columns: query, positive."),
        ({"positive": ["a", "b"]}, "row 1: the value of 'positive' is 'a', which is not a list of texts"),
        ({"positive": [["a"], []]}, "row 2: the value of 'positive' is an empty list"),
        ({"query": [None, "B?"]}, "row 1: column query is empty"),
        (
            {"negative": [["x", None], ["z"]]},
            "the value of 'negative' is \\['x', None\\], which is not a list",
        ),
    ],
)
def test_reranking_data_that_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    columns = {name: values for name, values in (RERANKING | change).items() if values is not None}
    with pytest.raises(UserError, match=message):
        task.run("SciDocsRR", _manifest(tmp_path, columns), tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_messages_name_the_config_key(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path, {"sentence1": ["A."], "sentence2": ["B."]})
    with pytest.raises(UserError, match=r"^evaluate\.data: .* has no column 'score'"):
        task.run("STSBenchmark", manifest, tmp_path / "out.json", "evaluate.data")


def test_a_folder_that_mteb_cannot_open(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text("# nothing", encoding="utf-8")
    write_manifest(tmp_path / "data.json", source="x", kind="dataset", path=tmp_path / "data", revision="r1")
    with pytest.raises(UserError, match=r"data cannot be opened as the data of SciDocsRR: .*repository"):
        task.run("SciDocsRR", tmp_path / "data.json", tmp_path / "out.json")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SST2", r"SST2 requires train, validation, test, but .*one\.parquet is a single file; use a folder"),
        (
            "Banking77Classification",
            r"Banking77Classification requires the files of its repository .* is a single file",
        ),
    ],
)
def test_one_file_is_not_enough(tmp_path: Path, name: str, message: str) -> None:
    io.write_table(tmp_path / "one.parquet", pa.table({"text": ["a", "b"], "label": [0, 1]}))
    write_manifest(tmp_path / "data.json", source="one", kind="dataset", path=tmp_path / "one.parquet")
    with pytest.raises(UserError, match=message):
        task.run(
            name, tmp_path / "data.json", tmp_path / "out.json", module=catalogue.module(name), own=[*catalogue.OWN]
        )


def test_a_repository_of_the_hub_passes_the_check_of_local_data(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "test.jsonl").write_text('{"sentence1": "A.", "sentence2": "B.", "score": 1.0}\n', encoding="utf-8")
    asset.run(str(folder), "dataset", None, tmp_path / "data.json")
    with pytest.raises(UserError, match="all 1 scores are 1"):  # without a README it is a table in our own form
        task.run("STS12", tmp_path / "data.json", tmp_path / "out.json")
    (folder / "README.md").write_text("# STS12", encoding="utf-8")
    asset.run(str(folder), "dataset", None, tmp_path / "data.json")
    task.run("STS12", tmp_path / "data.json", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["units"] == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (PAIRS | {"sentence2": PAIRS["sentence1"]}, r"No pair has a score of 4"),
        (PAIRS | {"score": [0.0, 50.0, 100.0]}, "Scores range from 0 to 100, but alignment and EvalRank require"),
    ],
)
def test_pairs_that_evalrank_cannot_use(tmp_path: Path, columns: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        task.run("EvalRank", _manifest(tmp_path, columns), tmp_path / "out.json", module="evalrank")


def _repository(folder: Path, **splits: int) -> Path:
    """Manifest of a copy of a classification task's repository, with rows of two classes in each split."""
    data = folder / "data"
    data.mkdir()
    (data / "README.md").write_text("# Toxic", encoding="utf-8")
    for split, count in splits.items():
        rows = [json.dumps({"text": f"Text {number}.", "label": number % 2}) for number in range(count)]
        (data / f"{split}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    write_manifest(folder / "data.json", source="x", kind="dataset", path=data, revision="r1")
    return folder / "data.json"


def test_the_rows_that_are_evaluated_are_counted(tmp_path: Path) -> None:
    task.run("ToxicConversationsClassification", _repository(tmp_path, train=40, test=6), tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["units"] == 6


@pytest.mark.parametrize(
    ("splits", "missing", "found"),
    [({"validation": 40}, "test", "validation"), ({"train": 40}, "test", "train"), ({"test": 40}, "train", "test")],
)
def test_a_split_that_mteb_would_miss_is_named(tmp_path: Path, splits: dict, missing: str, found: str) -> None:
    message = rf"the data of ToxicConversationsClassification have no split '{missing}'; their splits are: {found}\."
    with pytest.raises(UserError, match=message):
        task.run("ToxicConversationsClassification", _repository(tmp_path, **splits), tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("form", [pa.float16(), pa.decimal128(5, 2), pa.dictionary(pa.int8(), pa.float64())])
def test_scores_of_any_type_of_number_are_the_same(tmp_path: Path, form: pa.DataType) -> None:
    scores = pa.array(PAIRS["score"])
    scores = scores.dictionary_encode() if pa.types.is_dictionary(form) else scores.cast(form)
    io.write_table(tmp_path / "test.parquet", pa.table(PAIRS | {"score": scores}))
    assert data_tables.pairs([tmp_path / "test.parquet"]).to_pydict() == PAIRS
