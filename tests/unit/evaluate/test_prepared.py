"""JSON files of prepared tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.evaluate.prepared import PreparedTask, hashes


def _prepared(folder: Path) -> PreparedTask:
    (folder / "b").write_text("1")
    (folder / "a").write_text("2")
    files = hashes([folder / "b", folder / "a"], folder)
    return PreparedTask(
        "MR", "transfer", "labelled", {"train": ["b"], "test": ["a", "b"]}, folder, files, 7, "source", "r1"
    )


def test_a_task_survives_its_file(tmp_path: Path) -> None:
    task = _prepared(tmp_path)
    io.write_json(tmp_path / "task.json", task.as_dict())
    assert PreparedTask.read(tmp_path / "task.json") == task
    assert task.split_files() == {"train": [tmp_path / "b"], "test": [tmp_path / "a", tmp_path / "b"]}


def test_changed_files_are_named(tmp_path: Path) -> None:
    task = _prepared(tmp_path)
    task.check_files()
    (tmp_path / "a").write_text("3")
    with pytest.raises(UserError, match=r"/a has changed since its task was checked; run again from there\."):
        task.check_files()


@pytest.mark.parametrize("content", [{"task": "MR"}, []])
def test_another_file_is_no_prepared_task(tmp_path: Path, content: object) -> None:
    (tmp_path / "task.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"task\.json is not a prepared task; delete it and run again\."):
        PreparedTask.read(tmp_path / "task.json")
