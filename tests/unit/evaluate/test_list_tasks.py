"""Table of evaluation tasks and the state of their data."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankrefine import sources
from rankrefine.config.load import complete
from rankrefine.errors import UserError
from rankrefine.evaluate import catalogue, list_tasks


def _rows(text: str) -> dict[str, str]:
    return {line.split()[0]: line for line in text.splitlines()[1:]}


def test_tasks_with_their_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data" / "MR").mkdir(parents=True)
    tasks = {"CR": None, "SICK-R": "gone", "Banking77Classification": None, "STSBenchmark": "embedded:stsb"}
    config = complete({"evaluate": {"tasks": tasks, "suites": ["transfer"], "data": str(tmp_path / "data")}})
    list_tasks.run(config, tmp_path)
    rows = _rows(capsys.readouterr().out)
    assert set(rows) == {*(task for names in catalogue.SUITES.values() for task in names), *tasks}
    assert rows["MR"].split() == ["MR", "transfer", "yes", str(tmp_path / "data" / "MR"), "available"]
    assert rows["CR"].endswith("missing: a folder CR in evaluate.data")
    assert rows["SICK-R"].split()[2:] == ["yes", "gone", "missing"]
    assert rows["STSBenchmark"].endswith("downloaded by pip when needed")
    assert rows["EvalRank"].split()[:3] == ["EvalRank", "representation", "embedded:stsb"]  # not evaluated
    assert rows["Banking77Classification"].split() == [
        *("Banking77Classification", "yes", "mteb:Banking77Classification", "on", "the", "hub")
    ]


def test_downloaded_data_are_available(tmp_path: Path) -> None:
    slug = sources.parse("mteb:STS12", "dataset", "key").slug
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / f"{slug}.json").touch()
    rows = _rows(list_tasks.listing(complete({"evaluate": {"suites": ["sts"]}}), tmp_path))
    assert rows["STS12"].endswith("available")
    assert rows["STS13"].endswith("on the hub")


def test_a_data_folder_that_does_not_exist(tmp_path: Path) -> None:
    config = complete({"evaluate": {"data": str(tmp_path / "gone")}})
    with pytest.raises(UserError, match=r"^evaluate\.data: there is no folder '.*gone'"):
        list_tasks.listing(config, tmp_path)
