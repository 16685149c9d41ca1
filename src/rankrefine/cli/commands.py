"""Commands of the command line: name and module of the function `run`.

Every workflow rule has the command of its name, except `local_asset` and `gguf_asset`, which call `asset`. `config`,
`list-tasks`, `machine` and `preview` have no rule. Flags and help come from the signature and the docstring of `run`;
see `signature`.
"""

COMMANDS = {
    "config": "rankrefine.config.reference",
    "list-tasks": "rankrefine.evaluate.list_tasks",
    "preview": "rankrefine.preview.run",
    "machine": "rankrefine.machine.run",
    "asset": "rankrefine.assets.run",
    "check": "rankrefine.check",
    "seeds": "rankrefine.seeds.run",
    "generate": "rankrefine.generate.run",
    "synthesize": "rankrefine.generate.run",
    "write": "rankrefine.generate.run",
    "examples": "rankrefine.examples.run",
    "rate": "rankrefine.examples.rate",
    "likelihood": "rankrefine.examples.likelihood",
    "curate": "rankrefine.examples.curate",
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
