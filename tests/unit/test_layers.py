"""Layers of the package: shared packages on the ground, stages beside each other, and what looks down on them.

A job's code digest covers all that its module imports, so an arrow in the wrong direction reruns trainings for a
change that does not concern them.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import rankrefine
from rankrefine import digest

SRC = Path(rankrefine.__file__).parent
GROUND = {
    *("errors", "locks", "io", "yaml_file", "provenance", "digest", "gpus", "sources", "hub_names", "results_folder"),
    *("score_table", "data_card", "progress", "data_files", "text", "llm", "vllm_guidance", "encoders"),
    *("ranking_lists", "training", "assets"),
}
STAGES = {
    "seeds",
    "generate",
    "examples",
    "import_lists",
    "consolidate",
    "base",
    "refine",
    "evaluate",
    "export",
    "report",
}
ABOVE = {"config", "check", "preview", "machine", "cli", "__main__"}
LOOK_DOWN = {"report", "check", "preview", "machine", "cli"}  # may import stages
# verbs that write no data
READ_CONFIG = {"check", "preview.run", "machine.run", "evaluate.list_tasks", "config.reference"}


def module_name(file: Path) -> str:
    """Dotted name of a module inside the package; "" for the package itself."""
    return ".".join(file.relative_to(SRC).with_suffix("").parts).removesuffix("__init__").rstrip(".")


MODULES = {name: file for file in SRC.rglob("*.py") if (name := module_name(file))}


def imports(name: str) -> set[str]:
    """Modules of the package that a module imports, at any depth of nesting."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: relative import"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {inner for each in names if (inner := each.removeprefix("rankrefine.")) != each and inner in MODULES}


def top(name: str) -> str:
    """Top-level package or module of a module."""
    return name.partition(".")[0]


ARROWS = {(name, other) for name in MODULES for other in imports(name) if top(name) != top(other)}


def test_every_package_belongs_to_one_layer() -> None:
    assert sorted([*GROUND, *STAGES, *ABOVE]) == sorted({top(name) for name in MODULES})


def test_there_is_no_import_cycle_between_packages() -> None:
    arrows, rest = set(), {(top(name), top(other)) for name, other in ARROWS}
    while arrows != rest:  # remove packages that import nothing, or that nothing imports, until only cycles are left
        arrows, importing, imported = rest, {name for name, _ in rest}, {other for _, other in rest}
        rest = {(name, other) for name, other in arrows if name in imported and other in importing}
    assert not arrows, sorted(f"{name} -> {other}" for name, other in ARROWS if (top(name), top(other)) in arrows)


def test_imports_go_down_and_no_stage_imports_a_stage() -> None:
    wrong = {
        f"{name} -> {other}"
        for name, other in ARROWS
        if (top(other) in STAGES and top(name) not in LOOK_DOWN) or (top(other) in ABOVE and top(name) not in ABOVE)
    }
    assert not wrong, sorted(wrong)


def jobs() -> list[str]:
    """Modules that jobs run: those with a function `run`, and the engines, which are imported by name."""
    defining = {
        name
        for name, file in MODULES.items()
        if any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in ast.parse(file.read_bytes()).body)
    }
    engines = {name for name in MODULES if name.startswith("llm.") and name.endswith(".engine")}
    return sorted((defining | engines) - READ_CONFIG - {name for name in defining if top(name) == "cli"})


def test_every_stage_has_a_job() -> None:
    assert {f"{stage}.run" for stage in STAGES} | {"assets.run"} <= set(jobs())
    assert {"refine.teacher", "evaluate.task", "evaluate.overlap", "evaluate.scores", "llm.fake.engine"} <= set(jobs())


@pytest.mark.parametrize("job", jobs())
def test_no_job_depends_on_the_command_line_or_the_reading_of_the_config(job: str) -> None:
    """Otherwise the rewording of a message there would run the job again."""
    forbidden = {"cli", "config"} if top(job) == "assets" else {"cli", "config", "sources"}
    closure = {name.removeprefix("rankrefine.") for name in digest.closure(f"rankrefine.{job}")}
    assert not {name for name in closure if top(name) in forbidden}
