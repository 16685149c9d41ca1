"""The schema of a results folder, and the library versions in its records."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from rankrefine import results_folder as folder
from rankrefine.errors import UserError


def test_a_folder_is_stamped_once_and_one_without_a_stamp_is_of_the_first_schema(tmp_path: Path, monkeypatch) -> None:
    folder.check(tmp_path)
    folder.stamp(tmp_path)
    folder.check(tmp_path)
    monkeypatch.setattr(folder, "SCHEMA", 2)
    folder.stamp(tmp_path)
    with pytest.raises(
        UserError, match=r"was written by an older version of rankrefine \(schema 1; this version has 2\); move"
    ):
        folder.check(tmp_path)
    with pytest.raises(UserError, match="was written by an older version"):
        folder.check(tmp_path / "without")


@pytest.mark.parametrize(
    ("text", "message"), [("7\n", "was written by a newer version .*schema 7"), ("\0x", "is damaged")]
)
def test_other_stamps_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / folder.STAMP).write_text(text)
    with pytest.raises(UserError, match=message):
        folder.check(tmp_path)


def test_each_different_library_version_is_reported_once(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.json" for number in range(5)]
    numpy = version("numpy")
    for file, recorded in zip(files, (numpy, "0.1", "0.1", "0.2"), strict=False):
        versions = {"python": "2.7", "rankrefine": "0.0.1", "numpy": recorded, "no-such-package": "3"}
        file.write_text(json.dumps({"versions": versions if recorded == "0.2" else {"numpy": recorded}}))
    (tmp_path / "damaged.json").write_text("{")
    (tmp_path / "list.json").write_text('{"versions": []}')
    messages = list(folder.differences([*files, tmp_path / "damaged.json", tmp_path / "list.json"]))
    assert [message.partition(". Version changes do not")[0] for message in messages] == [
        f"{files[1]} and 1 more: generated with numpy 0.1, but {numpy} is installed",
        f"{files[3]}: generated with numpy 0.2, but {numpy} is installed",
        f"{files[3]}: generated with no-such-package 3, but none is installed",
    ]
