"""Catalogue of tasks: modules, sources of data, and messages about them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rankrefine import digest
from rankrefine.errors import UserError
from rankrefine.evaluate import catalogue
from rankrefine.evaluate.tasks.task import load

SOURCE = Path(__file__).parents[3] / "src"

NONE = {"suites": [], "tasks": {}, "data": None}


@pytest.mark.parametrize("name", [*catalogue.OWN, "STSBenchmark"])
def test_every_task_has_a_module_that_opens_it(name: str) -> None:
    task = load(catalogue.module(name), name)
    assert (task.name, task.module) == (name, catalogue.module(name))


def test_tasks_of_our_own_are_in_suites() -> None:
    in_suites = [task for names in catalogue.SUITES.values() for task in names]
    assert len(set(in_suites)) == len(in_suites)
    assert set(catalogue.OWN) <= set(in_suites)
    assert all(catalogue.suite_of(task) == own.suite for task, own in catalogue.OWN.items())
    assert set(catalogue.AVERAGED) <= set(catalogue.SUITES)


def test_code_of_a_task_is_its_module_and_nothing_of_other_tasks() -> None:
    """The workflow adds the digest of the task's module, because evaluation imports it by name."""
    closure = digest.closure("rankrefine.evaluate.run")
    assert not any(name.startswith("rankrefine.evaluate.tasks.") and not name.endswith(".task") for name in closure)
    assert "rankrefine.evaluate.catalogue" not in closure  # a new task does not rerun the others
    for name in [*catalogue.OWN, "STSBenchmark"]:
        module = f"rankrefine.evaluate.tasks.{catalogue.module(name)}"
        assert module in digest.closure(module)
        assert "rankrefine.evaluate.catalogue" not in digest.closure(module)
    assert "rankrefine.evaluate.tasks.mteb" not in digest.closure("rankrefine.evaluate.tasks.transfer")
    assert "rankrefine.evaluate.mteb_scores" in digest.closure("rankrefine.evaluate.tasks.mteb")


def test_the_catalogue_loads_no_heavy_library() -> None:
    program = (
        "import sys; import rankrefine.evaluate.catalogue; print({'torch', 'numpy', 'pyarrow'} & set(sys.modules))"
    )
    completed = subprocess.run([sys.executable, "-c", program], cwd=SOURCE, capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "set()"


def test_sources_in_order_of_precedence(tmp_path: Path) -> None:
    (tmp_path / "EvalRank").mkdir()
    names = ("Representation", "EvalRank", "STS13", "STSBenchmark")
    settings = NONE | {"tasks": dict.fromkeys(names) | {"STS12": "mine"}, "data": str(tmp_path)}
    assert catalogue.tasks(settings) == {
        "Representation": "embedded:stsb",
        "EvalRank": str(tmp_path / "EvalRank"),
        "STS12": "mine",
        "STS13": "mteb:STS13",
        "STSBenchmark": "embedded:stsb",
    }


@pytest.mark.parametrize(
    ("tasks", "key"),
    [
        ({"MR": "mine"}, "evaluate.tasks.MR"),
        ({"MR": None}, "evaluate.data"),
        ({}, "evaluate.data"),
        ({"CR": None}, "evaluate.tasks.CR"),
        ({"CR": "mine"}, "evaluate.tasks.CR"),
    ],
)
def test_the_key_that_the_user_wrote(tmp_path: Path, tasks: dict, key: str) -> None:
    (tmp_path / "MR").mkdir()
    settings = {"suites": ["transfer"], "tasks": tasks, "data": str(tmp_path)}
    assert catalogue.key(next(iter(tasks), "MR"), settings) == key
    assert catalogue.key("TREC", settings) == "evaluate.suites"


def test_missing_data(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^evaluate\.suites: no data for MR \(evaluate\.data is not set\); create"):
        catalogue.tasks(NONE | {"suites": ["transfer"]})
    with pytest.raises(UserError, match=r"^evaluate\.tasks\.CR: no data for CR \(there is no folder .*CR\); create"):
        catalogue.tasks(NONE | {"tasks": {"CR": None}, "data": str(tmp_path)})
    with pytest.raises(UserError, match=r"^evaluate\.data: there is no folder '.*gone'"):
        catalogue.tasks(NONE | {"data": str(tmp_path / "gone")})


def test_a_name_in_another_case() -> None:
    with pytest.raises(UserError, match=r"^evaluate\.tasks\.evalrank: there is no task 'evalrank'; did you mean Eval"):
        catalogue.tasks(NONE | {"tasks": {"evalrank": None}})
