"""The verbs of the command line, one for each workflow rule: its function ("module:function" is imported when it is
called), what it does, and its flags."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def _evaluate(list: bool, config: dict[str, Any], inputs: Path, **options: object) -> None:
    if list:
        from rankrefine.evaluate.list_tasks import listing

        sys.stdout.write(listing(config, inputs))
    else:
        from rankrefine.evaluate import run

        run.run(**options)


def _config(markdown: bool) -> None:
    from rankrefine.config import reference

    sys.stdout.write(reference.markdown() if markdown else reference.yaml())


ALONE = ("list",)  # flags with which a verb needs none of the others

FLAGS: dict[str, dict] = {
    "config": {"default": "config.yaml", "help": "Configuration: a YAML file (default config.yaml) or inline JSON."},
    "source": {"required": True, "help": "embedded:NAME, hub:ORG/NAME@REVISION[#SUBSET], or a local file or folder."},
    "kind": {"choices": ["model", "dataset"], "required": True, "help": "What the source is."},
    "folder": {"type": Path, "help": "Folder to write; needed for all but local sources."},
    "assets": {"type": Path, "nargs": "*", "default": [], "help": "Manifests of all data sets that the config names."},
    "pool": {"type": Path, "required": True, "help": "Seed pool (parquet) of `seeds`."},
    "pool_stats": {"type": Path, "required": True, "help": "Statistics (JSON) of `seeds`."},
    "first": {"type": int, "required": True, "help": "First row of the pool to take."},
    "rows": {"type": int, "required": True, "help": "Number of rows to take."},
    "budget": {"type": int, "required": True, "help": "Seed sentences the whole run needs; checked against the pool."},
    "model": {"type": Path, "required": True, "help": "Manifest (JSON) of the model."},
    "llm": {"type": Path, "help": "Manifest (JSON) of the language model; not for the fake engine."},
    "code": {
        "nargs": "*",
        "default": [],
        "help": "Digests of the code: what other code left half done is made again.",
    },
    "threads": {"type": int, "default": None, "help": "Processor threads to use (default: all)."},
    "gpus": {
        "type": int,
        "metavar": "N",
        "help": "GPUs to keep for this job where no scheduler chose any; 0 uses none (default: all that there are).",
    },
    "parallel": {
        "type": _positive,
        "default": 1,
        "metavar": "N",
        "help": "Processes that share out each batch, one for each GPU (default: 1).",
    },
    "examples": {"type": Path, "help": "What a recipe trains on: a manifest (JSON), or parquet with a column text."},
    "count": {"type": _positive, "default": 5, "metavar": "N", "help": "Number of lists to show (default: 5)."},
    "shards": {"type": Path, "required": True, "help": "Folder that holds the shards from `generate`."},
    "lists": {"type": Path, "required": True, "help": "Ranking lists (parquet) from `consolidate`."},
    "encoders": {
        "type": Path,
        "nargs": "*",
        "default": [],
        "help": "Manifests (JSON) of teachers and other encoders.",
    },
    "poolings": {"nargs": "*", "default": [], "help": "How each of them is pooled."},
    "teacher": {"type": Path, "required": True, "help": "Folder of results of `teacher`, whose opinion is shown."},
    "teacher_embeddings": {"type": Path, "nargs": "+", "required": True, "help": "Embeddings from `teacher`."},
    "weights": {"type": float, "nargs": "+", "required": True, "help": "Weight of each teacher."},
    "report_to": {"nargs": "*", "default": [], "help": "Trackers to follow the training: tensorboard, wandb."},
    "development": {"type": Path, "help": "Manifest (JSON) of the development data."},
    "manifest": {"type": Path, "required": True, "help": "Manifest (JSON) to write."},
    "history": {"type": Path, "required": True, "help": "Training history (JSON) to write."},
    "manifests": {"type": Path, "nargs": "+", "required": True, "help": "Manifests of the refined encoders."},
    "histories": {
        "type": Path,
        "nargs": "+",
        "required": True,
        "help": "Their training histories, in the same order.",
    },
    "scores": {"type": Path, "required": True, "help": "Score table (CSV) from `scores`."},
    "lists_stats": {"type": Path, "required": True, "help": "Record (JSON) of the lists from `consolidate`."},
    "cards": {"type": Path, "required": True, "help": "Folder to write the encoders' cards to."},
    "selection": {"type": Path, "required": True, "help": "Selection record (JSON) to write."},
    "task": {"required": True, "help": "Name of the task: MTEB's, or one of our own."},
    "data": {"type": Path, "required": True, "help": "Manifest (JSON) of the task's data, or of the lists."},
    "key": {"default": "evaluate.tasks", "help": "Config key that names the data, for messages."},
    "prepared": {"type": Path, "required": True, "help": "Prepared task (JSON) from `task`."},
    "list": {
        "action": "store_true",
        "help": "Show which tasks there are and whose data are here; needs --config alone.",
    },
    "pooling": {"default": "model", "help": "Pooling of the encoder (default: its own)."},
    "prompt": {"help": "Text before every sentence (default: the encoder's own)."},
    "store": {"type": Path, "help": "Folder for embeddings that the tasks of a model share."},
    "parquet": {"type": Path, "required": True, "help": "Score table (parquet) to write."},
    "mteb": {"type": Path, "required": True, "help": "Folder to write: MTEB's own results."},
    "name": {"required": True, "help": "Name of the model or the experiment in tables."},
    "results": {"type": Path, "required": True, "help": "Folder with the results of `evaluate`, MODEL/TASK.json."},
    "models": {"nargs": "+", "required": True, "help": "Names of the models."},
    "tasks": {"nargs": "+", "required": True, "help": "Names of the tasks."},
    "table": {"type": Path, "required": True, "help": "Table (Markdown) to write."},
    "inputs": {"type": Path, "default": Path("results"), "help": "Results folder of the run (default: results)."},
    "output": {"type": Path, "required": True, "help": "File or folder to write."},
    "stats": {"type": Path, "required": True, "help": "Statistics (JSON) to write."},
    "card": {"type": Path, "required": True, "help": "Card (Markdown) to write."},
    "markdown": {"action": "store_true", "help": "As a Markdown table instead of YAML."},
}

VERBS: dict[str, tuple[str | Callable[..., None], str, tuple[str, ...]]] = {
    "config": (_config, "Print the reference configuration.", ("markdown",)),
    "asset": (
        "rankrefine.assets.run:run",
        "Fetch a model or data set and write its manifest.",
        ("source", "kind", "folder", "manifest"),
    ),
    "check": (
        "rankrefine.check:run",
        "Check models and development data before anything long runs.",
        ("config", "model", "encoders", "poolings", "development", "llm", "output"),
    ),
    "seeds": ("rankrefine.seeds.run:run", "Stage 1: extract seed sentences.", ("config", "assets", "output", "stats")),
    "generate": (
        "rankrefine.generate.run:run",
        "Stage 2: generate the ranking lists of one shard.",
        (
            "config",
            "pool",
            "pool_stats",
            "first",
            "rows",
            "budget",
            "llm",
            "threads",
            "gpus",
            "code",
            "output",
            "stats",
        ),
    ),
    "preview": (
        "rankrefine.preview:run",
        "Show a few ranking lists and the time that all of them would take.",
        ("count", "config", "threads", "gpus"),
    ),
    "lists": (
        "rankrefine.import_lists.run:run",
        "Stages 1 and 2 replaced: read ranking lists that exist already.",
        ("config", "data", "assets", "pool", "pool_stats", "output", "stats"),
    ),
    "consolidate": (
        "rankrefine.consolidate.run:run",
        "Stage 3: apply the quality rules and join the shards.",
        ("config", "shards", "pool_stats", "output", "stats", "card"),
    ),
    "base": (
        "rankrefine.base.run:run",
        "Make the encoder to refine: pooling, prompt, SimCSE.",
        ("config", "model", "examples", "development", "threads", "gpus", "code", "output", "manifest", "history"),
    ),
    "teacher": (
        "rankrefine.refine.teacher:run",
        "Stage 4a: embed the lists with the teacher.",
        ("config", "lists", "model", "threads", "gpus", "output", "stats"),
    ),
    "refine": (
        "rankrefine.refine.run:run",
        "Stage 4b: train the encoder on the rankings.",
        (
            "name",
            "config",
            "lists",
            "teacher_embeddings",
            "weights",
            "model",
            "development",
            "report_to",
            "threads",
            "gpus",
            "parallel",
            "code",
            "output",
            "manifest",
            "history",
        ),
    ),
    "task": (
        "rankrefine.evaluate.task:run",
        "Stage 5a: check a task and its data.",
        ("task", "key", "data", "output"),
    ),
    "overlap": (
        "rankrefine.evaluate.overlap:run",
        "Count the seeds in a task's text.",
        ("config", "pool", "prepared", "output"),
    ),
    "evaluate": (
        _evaluate,
        "Stage 5b: evaluate one encoder on one task.",
        (
            *("list", "config", "inputs"),
            *("prepared", "model", "name", "pooling", "prompt", "threads", "gpus", "store", "code", "output"),
        ),
    ),
    "scores": (
        "rankrefine.evaluate.scores:run",
        "Stage 5c: table of scores with intervals.",
        ("config", "results", "models", "tasks", "output", "parquet", "table", "mteb"),
    ),
    "export": (
        "rankrefine.export.run:run",
        "Copy the encoder with the best development score, and write the cards of all.",
        ("manifests", "histories", "scores", "lists_stats", "output", "cards", "selection", "table"),
    ),
    "report": (
        "rankrefine.report.run:run",
        "Figures and tables of the report.",
        ("config", "inputs", "teacher", "output"),
    ),
}
