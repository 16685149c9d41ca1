"""Which tasks a run evaluates, and whether their data are here: `python -m rankrefine evaluate --list`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rankrefine import sources
from rankrefine.errors import UserError
from rankrefine.evaluate.catalogue import SUITES, suite_of
from rankrefine.evaluate.catalogue import tasks as configured


def listing(config: dict[str, Any], inputs: Path) -> str:
    """A line for each task of the config and of the suites: task, suite, source, state.

    Args:
        config: Completed configuration.
        inputs: Results folder, where fetched data lie.
    """
    settings = config["evaluate"]
    chosen = dict.fromkeys(task for suite in settings["suites"] for task in SUITES[suite]) | settings["tasks"]
    known = [task for names in SUITES.values() for task in names]
    lines = [("task", "suite", "evaluated", "data", "state")]
    for task in dict.fromkeys([*known, *chosen]):
        one = settings | {"suites": [], "tasks": {task: chosen.get(task)}}
        try:
            source = configured(one)[task]
            state = _state(source, inputs)
        except UserError:
            source, state = "", f"missing: a folder {task} in evaluate.data"
        lines.append((task, suite_of(task), "yes" if task in chosen else "", source, state))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines) + "\n"


def _state(source: str, inputs: Path) -> str:
    """Whether the data are on this machine."""
    try:
        found = sources.parse(source, "dataset", "evaluate.tasks")
    except UserError:
        return "missing"
    if found.form == "local" or (inputs / "assets" / f"{found.slug}.json").is_file():
        return "here"
    return {"embedded": "fetched by pip when needed", "hub": "on the hub", "mteb": "on the hub"}[found.form]
