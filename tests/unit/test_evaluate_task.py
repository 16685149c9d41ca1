"""Checks of a task and its data."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.errors import UserError
from rankrefine.evaluate import task

PAIRS = {"sentence1": ["A.", "B.", "C."], "sentence2": ["a.", "b.", "c."], "score": [0.0, 2.5, 5.0]}


def _manifest(folder: Path, columns: dict, split: str = "test") -> Path:
    io.write_table(folder / "data" / f"{split}.parquet", pa.table(columns))
    write_manifest(folder / "data.json", source="embedded:stsb", kind="dataset", path=folder / "data", revision="r1")
    return folder / "data.json"


def test_a_task_that_fits(tmp_path: Path) -> None:
    task.run("STSBenchmark", _manifest(tmp_path, PAIRS), tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    file = tmp_path / "data" / "test.parquet"
    expected = {"task": "STSBenchmark", "split": "test", "path": file.as_posix(), "rows": 3}
    assert found == expected | {"sha256": io.sha256(file), "source": "embedded:stsb", "revision": "r1"}


@pytest.mark.parametrize("name", ["STS12", "STS13", "STS14", "STS15", "STS16", "STSBenchmark", "SICK-R"])
def test_the_sts_tasks_of_the_paper_are_known(name: str) -> None:
    assert task.checked_split(name) == "test"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("STSBenchmrk", "MTEB has no task 'STSBenchmrk'; did you mean STSBenchmark"),
        ("sick-r", "did you mean SICK-R"),
        ("qqqqqqqqqq", "see mteb.get_tasks()"),
        ("Banking77Classification", "STS tasks .* and Banking77Classification is of the type Classification"),
        ("STS17", "STS17 has 11 language subsets"),
        ("STSBenchmark.v2", "STSBenchmark.v2 is the mean over the splits validation and test"),
    ],
)
def test_tasks_that_are_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(").replace(")", r"\)")):
        task.checked_split(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": None}, "has no column score; there are: sentence1, sentence2."),
        ({"sentence1": [1, 2, 3]}, "column sentence1 holds int64 instead of text"),
        ({"sentence2": ["a.", None, None]}, r"column sentence2 is empty in row 2 \(2 such rows\)"),
        ({"score": ["1", "2", "3"]}, "column score holds string instead of numbers"),
        ({"score": [1.0, math.nan, 3.0]}, "column score is not a number in row 2"),
        ({"score": [1.0, 2.0, None]}, "column score is not a number in row 3"),
        ({"score": [1, 1, 1]}, "all 3 scores are 1.0"),
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
    with pytest.raises(UserError, match=r"STSBenchmark is evaluated on test\.parquet, .* there are: dev\.parquet\."):
        task.run("STSBenchmark", _manifest(tmp_path, PAIRS, split="dev"), tmp_path / "out.json")


def test_a_truncated_file(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path, PAIRS)
    file = tmp_path / "data" / "test.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match="corrupt or truncated"):
        task.run("STSBenchmark", manifest, tmp_path / "out.json")
