"""What a results folder says of the versions that made it."""

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
    with pytest.raises(UserError, match=r"is of an older version of rankrefine \(schema 1, this one has 2\); move it"):
        folder.check(tmp_path)
    with pytest.raises(UserError, match="is of an older version"):
        folder.check(tmp_path / "without")


@pytest.mark.parametrize(("text", "message"), [("7\n", "is of a newer version .*schema 7"), ("\0x", "is damaged")])
def test_other_stamps_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / folder.STAMP).write_text(text)
    with pytest.raises(UserError, match=message):
        folder.check(tmp_path)


def test_other_library_versions_are_told_once_each(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.json" for number in range(5)]
    numpy = version("numpy")
    for file, made_with in zip(files, (numpy, "0.1", "0.1", "0.2"), strict=False):
        made_by = {"python": "2.7", "rankrefine": "0.0.1", "numpy": made_with, "no-such-package": "3"}
        file.write_text(json.dumps({"versions": made_by if made_with == "0.2" else {"numpy": made_with}}))
    (tmp_path / "damaged.json").write_text("{")
    (tmp_path / "list.json").write_text('{"versions": []}')
    told = list(folder.differences([*files, tmp_path / "damaged.json", tmp_path / "list.json"]))
    assert [sentence.split(";")[0] for sentence in told] == [
        f"{files[1]} and 1 more: made with numpy 0.1, but {numpy} is installed",
        f"{files[3]}: made with numpy 0.2, but {numpy} is installed",
        f"{files[3]}: made with no-such-package 3, but none is installed",
    ]
