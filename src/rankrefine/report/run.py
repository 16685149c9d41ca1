"""The report's figures, tables and pages: `python -m rankrefine report --inputs results --output results/report`.

Each file stands alone; Snakemake's report page embeds them with the captions of `workflow/report`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.report import pages, summary
from rankrefine.report.collect import collect
from rankrefine.report.figures import lists, scores, style, training
from rankrefine.report.figures import timings as times

log = logging.getLogger(__name__)

FIGURES = {
    "scores.svg": scores.forest,
    "representation.svg": scores.representation,
    "similarity.svg": lists.similarity,
    "order.svg": lists.agreement,
    "drops.svg": lists.funnel,
    "training.svg": training.training,
    "experiments.svg": training.experiments,
    "timings.svg": times.timings,
}
PAGES = {
    "summary.html": summary.summary,
    "scores.html": pages.scores,
    "drops.html": pages.drops,
    "lists.html": pages.lists,
    "timings.html": pages.timings,
    "provenance.html": summary.provenance,
}


def run(config: dict[str, Any], inputs: Path, teacher: Path, output: Path) -> None:
    """Write all files of the report, or none.

    Args:
        config: Completed configuration; read are `report.examples`, `evaluate.confidence`, `seeds.count` and
            `generate.shard_size`. All else that the report shows comes from the records of the stages.
        inputs: Results folder of the run.
        teacher: Folder with the embeddings and the statistics of the teacher whose opinion is shown.
        output: Folder to write.

    Raises:
        UserError: a file of an earlier stage is missing or damaged.
    """
    found = collect(config, inputs, teacher)
    with io.atomic(output) as folder:
        folder.mkdir()
        for name, draw in FIGURES.items():
            style.save(draw(found), folder / name)
        for name, write in PAGES.items():
            (folder / name).write_text(write(found), encoding="utf-8")
    log.info("report: %d figures and %d pages in %s.", len(FIGURES), len(PAGES), output)
