"""Count the seed sentences in the text of a task.

Seed sentences are decontaminated against the sets in seeds.decontaminate. The count shows for every evaluated task how
well that worked, or how clean a task is that is not on that list.
"""

import logging
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.evaluate.prepared import PreparedTask
from rankrefine.evaluate.tasks.task import load
from rankrefine.provenance import Record
from rankrefine.text.duplicates import Contamination
from rankrefine.text.words import words

log = logging.getLogger(__name__)
EXAMPLES = 3


def run(config: dict[str, Any], pool: Path, pool_stats: Path, prepared: Path, output: Path) -> None:
    """Count the seed sentences in the text of a task.

    The record has {task, source, decontaminated, warning, seeds, found, overlapping, examples}: `found` seed sentences
    occur in the text word for word (case and punctuation aside); `overlapping` ones share so many word n-grams with it
    that seeds.decontaminate would have dropped them. `decontaminated` says that the task's data are in
    seeds.decontaminate; the warning is "" unless seed sentences were counted nevertheless.

    Args:
        config: Configuration.
        pool: Seed pool (parquet), of which the first seeds.count sentences are used; all for imported lists.
        pool_stats: Record (JSON) of the pool, with the revisions of the sets in seeds.decontaminate.
        prepared: Prepared task (JSON) from `task`.
        output: JSON file to write.

    Raises:
        UserError: the data have changed since they were checked.
    """
    record = Record("overlap", config)
    task, settings = PreparedTask.read(prepared), config["seeds"]
    count = None if config["lists"]["source"] == "import" else settings["count"]
    seeds = io.read_table(pool)["text"].to_pylist()[:count]
    texts = load(task.module, task.task).texts(task)
    known = Contamination(texts, settings["overlap_ngram"], settings["overlap_limit"])
    found = [seed for seed in seeds if known.has(words(seed))]
    overlapping = [seed for seed in seeds if not known.has(words(seed)) and known.overlaps(words(seed))]
    counts = {"seeds": len(seeds), "found": len(found), "overlapping": len(overlapping)}
    revisions = io.read_json(pool_stats)["assets"]
    is_listed = _data(task.source, task.revision) in {
        _data(name, revisions[name]) for name in settings["decontaminate"]
    }
    warning = _warning(task, len(found + overlapping), len(seeds)) if is_listed else ""
    fields = {"task": task.task, "source": task.source, "decontaminated": is_listed, "warning": warning}
    io.write_json(output, record.finish(**fields, **counts, examples=(found + overlapping)[:EXAMPLES]))
    log.info("%s contains %d of %d seed sentences; %d overlap.", task.task, len(found), len(seeds), len(overlapping))
    if warning:
        log.warning("%s", warning)


def _data(source: str, revision: str) -> str:
    """Identify data: the digest of local files, which may have several paths, or a remote source with its revision."""
    return source if ":" in source else revision


def _warning(task: PreparedTask, overlapping: int, seeds: int) -> str:
    """Return a warning if listed data contain or overlap seed sentences, which decontamination drops; "" if not."""
    if not overlapping:
        return ""
    return (
        f"{task.task}: {overlapping} of {seeds} seed sentences are in its text or overlap it, although its data "
        f"({task.source}) are in seeds.decontaminate; its scores may be too high. Decontamination did not read all of "
        "this text: add a file with it to seeds.decontaminate."
    )
