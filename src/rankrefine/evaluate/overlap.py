"""How many seed sentences are in a task's text: `python -m rankrefine overlap --prepared results/tasks/X.json …`.

Seeds are kept apart from the sets in seeds.decontaminate. For every task that is evaluated this says how well that
worked, and how clean a task is that was not on that list.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.evaluate import own
from rankrefine.evaluate.mteb_task import opened, texts
from rankrefine.provenance import Record
from rankrefine.text.duplicates import Contamination
from rankrefine.text.words import words

log = logging.getLogger(__name__)
EXAMPLES = 3


def run(config: dict[str, Any], pool: Path, prepared: Path, output: Path) -> None:
    """Write {task, source, decontaminated, seeds, found, overlapping, examples}.

    `found` seeds are in the task's text word for word (case and punctuation aside); `overlapping` ones share so many
    word n-grams with it that seeds.decontaminate would have dropped them.

    Args:
        config: Completed configuration; read are `lists.source` and of `seeds` `count`, `decontaminate`,
            `overlap_ngram` and `overlap_limit`.
        pool: Seed pool, of which the first `count` sentences are used; of imported lists all.
        prepared: JSON from `task`.
        output: JSON to write.

    Raises:
        UserError: the data changed since `task`.
    """
    settings = {key: config["seeds"][key] for key in ("count", "decontaminate", "overlap_ngram", "overlap_limit")}
    record = Record("overlap", {"seeds": settings})
    setting = io.read_json(prepared)
    count = None if config["lists"]["source"] == "import" else settings["count"]
    seeds = io.read_table(pool)["text"].to_pylist()[:count]
    of_task = own.texts(setting) if setting["kind"] == "own" else texts(opened(setting))
    seen = Contamination(of_task, settings["overlap_ngram"], settings["overlap_limit"])
    found = [seed for seed in seeds if seen.has(words(seed))]
    overlapping = [seed for seed in seeds if not seen.has(words(seed)) and seen.overlaps(words(seed))]
    counts = {"seeds": len(seeds), "found": len(found), "overlapping": len(overlapping)}
    is_listed = setting["source"] in settings["decontaminate"]
    fields = {"task": setting["task"], "source": setting["source"], "decontaminated": is_listed}
    io.write_json(output, record.finish(**fields, **counts, examples=(found + overlapping)[:EXAMPLES]))
    log.info(
        "%s: %d of %d seeds are in its text, %d overlap.", setting["task"], len(found), len(seeds), len(overlapping)
    )
