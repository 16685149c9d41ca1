"""Check a task and its data before any encoder is loaded.

The rule runs early in the workflow, so that a misspelt task name is reported before the language model starts.
"""

import logging
from pathlib import Path

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.assets.mteb import known_task
from rankrefine.errors import about
from rankrefine.evaluate.tasks.task import load

log = logging.getLogger(__name__)


def run(
    task: str,
    data: Path,
    output: Path,
    key: str = "evaluate.tasks",
    module: str = "mteb",
    own: list[str] | None = None,
) -> None:
    """Stage 5a: check a task and its data.

    Args:
        task: Name of the task: MTEB's, or one of our own.
        data: Manifest of the task's data.
        output: JSON file to write, a `PreparedTask`.
        key: Config key of the data, for messages.
        module: Module in evaluate/tasks that evaluates the task.
        own: Names of our own tasks, to suggest for a misspelt one.

    Raises:
        UserError: the task is unknown, or its data do not fit.
    """
    with about(key):
        if module == "mteb":
            known_task(task, own or ())
        prepared, unit = load(module, task).prepare(load_manifest(data))
    io.write_json(output, prepared.as_dict())
    log.info("task %s: %d %s (%s) from %s.", task, prepared.units, unit, ", ".join(prepared.splits), prepared.path)
