"""List the evaluation tasks and the state of their data."""

import sys
from pathlib import Path
from typing import Any

from rankrefine import sources
from rankrefine.errors import UserError
from rankrefine.evaluate import catalogue


def run(config: dict[str, Any], inputs: Path = Path("results")) -> None:
    """List the evaluation tasks, and whether their data are on this machine.

    Args:
        config: Configuration.
        inputs: Results folder of the run.
    """
    sys.stdout.write(listing(config, inputs))


def listing(config: dict[str, Any], inputs: Path) -> str:
    """Return a table of the suites' and the configured tasks: task, suite, evaluated or not, source, state."""
    settings = config["evaluate"]
    selected = catalogue.selected(settings)
    of_suites = (task for names in catalogue.SUITES.values() for task in names)
    lines = [("task", "suite", "evaluated", "data", "state")]
    for task in dict.fromkeys([*of_suites, *catalogue.OWN, *selected]):
        try:
            source = selected.get(task) or catalogue.default_source(task, settings)
            state = _state(source, inputs)
        except UserError:
            source, state = "", f"missing: a folder {task} in evaluate.data"
        lines.append((task, catalogue.suite_of(task), "yes" if task in selected else "", source, state))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines) + "\n"


def _state(source: str, inputs: Path) -> str:
    """Return the state of the data as text."""
    try:
        parsed = sources.parse(source, "dataset", "evaluate.tasks")
    except UserError:
        return "missing"
    if parsed.form == "local" or (inputs / "assets" / f"{parsed.slug}.json").is_file():
        return "available"
    return {"embedded": "downloaded by pip when needed", "hub": "on the hub", "mteb": "on the hub"}[parsed.form]
