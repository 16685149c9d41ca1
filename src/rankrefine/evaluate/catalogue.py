"""Which tasks a run evaluates and where their data come from. Standard library only: the Snakefile imports this.

A task is MTEB's, by MTEB's name, or one of our own (`OWN`). Its data are, in this order: what `evaluate.tasks` says, a
folder of that name in `evaluate.data`, an embedded data set, and for MTEB's tasks the hub, at the revision that MTEB
pins.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rankrefine.errors import UserError

TRANSFER = ("MR", "CR", "SUBJ", "MPQA", "SST2", "TREC", "MRPC")
REPRESENTATION = ("Representation", "EvalRank")
OWN = (*TRANSFER, *REPRESENTATION)

SUITES = {
    "sts": ("STS12", "STS13", "STS14", "STS15", "STS16", "STSBenchmark", "SICK-R"),
    "reranking": ("AskUbuntuDupQuestions", "MindSmallReranking", "SciDocsRR", "StackOverflowDupQuestions"),
    "transfer": TRANSFER,
    "representation": REPRESENTATION,
}
AVERAGED = ("sts", "reranking", "transfer")  # suites whose tasks share a scale, so that their mean means something
EMBEDDED = {"STSBenchmark": "embedded:stsb", **dict.fromkeys(REPRESENTATION, "embedded:stsb")}


def tasks(settings: dict[str, Any]) -> dict[str, str]:
    """The source of each task's data, the suites' tasks first.

    Args:
        settings: Section `evaluate` of the completed configuration.

    Raises:
        UserError: a task's data are nowhere, or there is no folder `data`.
    """
    if settings["data"] is not None and not Path(settings["data"]).is_dir():
        raise UserError(f"evaluate.data: there is no folder '{settings['data']}'.")
    named = [task for suite in settings["suites"] for task in SUITES[suite]]
    given = dict.fromkeys(named) | settings["tasks"]
    return {task: source or _found(task, settings) for task, source in given.items()}


def key(task: str, settings: dict[str, Any]) -> str:
    """The config key that says where a task's data come from, for messages."""
    if settings["tasks"].get(task) is None and _local(task, settings["data"]):
        return "evaluate.data"
    return f"evaluate.tasks.{task}" if task in settings["tasks"] else "evaluate.suites"


def suite_of(task: str) -> str:
    """The suite that a task belongs to, or an empty text."""
    return next((suite for suite, names in SUITES.items() if task in names), "")


def _local(task: str, folder: str | None) -> str | None:
    """The folder of a task in `evaluate.data`, where there is one."""
    return str(local) if folder is not None and os.path.isdir(local := Path(folder) / task) else None


def _found(task: str, settings: dict[str, Any]) -> str:
    folder = settings["data"]
    if local := _local(task, folder):
        return local
    if task in EMBEDDED:
        return EMBEDDED[task]
    if task not in OWN:
        return f"mteb:{task}"
    held = f"there is no folder {Path(folder) / task}" if folder else "evaluate.data names no folder"
    raise UserError(
        f"{key(task, settings)}: the data of {task} are not here ({held}); docs/evaluation.md says how the folder "
        f"must look, or name the data in evaluate.tasks.{task}."
    )
