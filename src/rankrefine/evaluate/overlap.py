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


def run(config: dict[str, Any], pool: Path, prepared: Path, output: Path) -> None:
    """Count the seed sentences in the text of a task.

    The record has {task, source, decontaminated, seeds, found, overlapping, examples}: `found` seed sentences occur in
    the text word for word (case and punctuation aside); `overlapping` ones share so many word n-grams with it that
    seeds.decontaminate would have dropped them.

    Args:
        config: Configuration.
        pool: Seed pool (parquet), of which the first seeds.count sentences are used; all for imported lists.
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
    is_listed = task.source in settings["decontaminate"]
    fields = {"task": task.task, "source": task.source, "decontaminated": is_listed}
    io.write_json(output, record.finish(**fields, **counts, examples=(found + overlapping)[:EXAMPLES]))
    log.info("%s contains %d of %d seed sentences; %d overlap.", task.task, len(found), len(seeds), len(overlapping))
