"""Commands of the command line, one per workflow rule and three more: name and module of the function `run`.

Flags and help come from the signature and the docstring of `run`; see `signature`.
"""

COMMANDS = {
    "config": "rankrefine.config.reference",
    "list-tasks": "rankrefine.evaluate.list_tasks",
    "preview": "rankrefine.preview",
    "asset": "rankrefine.assets.run",
    "check": "rankrefine.check",
    "seeds": "rankrefine.seeds.run",
    "generate": "rankrefine.generate.run",
    "import-lists": "rankrefine.import_lists.run",
    "consolidate": "rankrefine.consolidate.run",
    "base": "rankrefine.base.run",
    "teacher": "rankrefine.refine.teacher",
    "refine": "rankrefine.refine.run",
    "task": "rankrefine.evaluate.task",
    "overlap": "rankrefine.evaluate.overlap",
    "evaluate": "rankrefine.evaluate.run",
    "scores": "rankrefine.evaluate.scores",
    "export": "rankrefine.export.run",
    "report": "rankrefine.report.run",
}


def rule(command: str) -> str:
    """Return the name of the workflow rule of a command."""
    return command.replace("-", "_")
