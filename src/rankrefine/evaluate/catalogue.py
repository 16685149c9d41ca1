"""Catalogue of evaluation tasks: suites, modules, and the source of each task's data.

A task is one of MTEB's, under MTEB's name, or one of our own (`OWN`). Its data come from the first of these that
exists: the source in `evaluate.tasks`, a folder of its name in `evaluate.data`, an embedded data set, and for MTEB's
tasks the hub, at the revision that MTEB pins. Standard library only: the Snakefile imports this module.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

from rankrefine.errors import UserError


class OwnTask(NamedTuple):
    """A task of our own: its suite, its module in `evaluate/tasks`, and the embedded source of its data, if any."""

    suite: str
    module: str
    embedded: str | None = None


OWN = {
    **dict.fromkeys(("MR", "CR", "SUBJ", "MPQA", "SST2", "TREC", "MRPC"), OwnTask("transfer", "transfer")),
    "Representation": OwnTask("representation", "representation", "embedded:stsb"),
    "EvalRank": OwnTask("representation", "evalrank", "embedded:stsb"),
}
SUITES = {
    "sts": ("STS12", "STS13", "STS14", "STS15", "STS16", "STSBenchmark", "SICK-R"),
    "reranking": ("AskUbuntuDupQuestions", "MindSmallReranking", "SciDocsRR", "StackOverflowDupQuestions"),
    **{suite: tuple(task for task in OWN if OWN[task].suite == suite) for suite in ("transfer", "representation")},
}
AVERAGED = ("sts", "reranking", "transfer")  # suites whose tasks share a scale, so that their mean is meaningful


def module(task: str) -> str:
    """Return the module in `rankrefine.evaluate.tasks` that evaluates the task."""
    return OWN[task].module if task in OWN else "mteb"


def suite_of(task: str) -> str:
    """Return the suite of a task, or an empty string."""
    return next((suite for suite, names in SUITES.items() if task in names), "")


def selected(settings: dict[str, Any]) -> dict[str, str | None]:
    """Return the tasks in section `evaluate` of the configuration, suites first, with the sources given there.

    Raises:
        UserError: `evaluate.data` is not a folder.
    """
    if settings["data"] is not None and not os.path.isdir(settings["data"]):
        raise UserError(f"evaluate.data: there is no folder '{settings['data']}'.")
    return dict.fromkeys(task for suite in settings["suites"] for task in SUITES[suite]) | settings["tasks"]


def tasks(settings: dict[str, Any]) -> dict[str, str]:
    """Return the tasks in section `evaluate` of the configuration with the source of their data.

    Raises:
        UserError: the data of a task are missing, or `evaluate.data` is not a folder.
    """
    return {task: source or default_source(task, settings) for task, source in selected(settings).items()}


def default_source(task: str, settings: dict[str, Any]) -> str:
    """Return the source of a task for which `evaluate.tasks` gives none.

    Raises:
        UserError: there are no data for it, or its name differs from one of our own in upper and lower case alone.
    """
    if folder := _folder(task, settings):
        return folder
    if task == "STSBenchmark":
        return "embedded:stsb"
    if task not in OWN:
        if meant := next((own for own in OWN if own.lower() == task.lower()), None):
            raise UserError(f"{key(task, settings)}: there is no task '{task}'; did you mean {meant}?")
        return f"mteb:{task}"
    if OWN[task].embedded:
        return OWN[task].embedded
    data = settings["data"]
    missing = f"there is no folder {Path(data) / task}" if data else "evaluate.data is not set"
    raise UserError(
        f"{key(task, settings)}: no data for {task} ({missing}); create the folder as described in "
        f"docs/evaluation.md, or set evaluate.tasks.{task} to the source of the data."
    )


def key(task: str, settings: dict[str, Any]) -> str:
    """Return the config key that determines the source of a task's data, for messages."""
    if settings["tasks"].get(task) is None and _folder(task, settings):
        return "evaluate.data"
    return f"evaluate.tasks.{task}" if task in settings["tasks"] else "evaluate.suites"


def _folder(task: str, settings: dict[str, Any]) -> str | None:
    """Return the folder of a task in `evaluate.data`, or None."""
    data = settings["data"]
    return str(folder) if data is not None and os.path.isdir(folder := Path(data) / task) else None
