"""Command `report`: draw the figures and write the pages of the report.

Each file is self-contained. Snakemake's report page embeds them with the captions of `workflow/report`.
"""

import logging
from importlib import import_module
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.report.collect import collect
from rankrefine.report.contents import items
from rankrefine.report.figures.style import save

log = logging.getLogger(__name__)


def run(config: dict[str, Any], inputs: Path, teacher: Path, output: Path) -> None:
    """Draw the figures and write the pages of the report.

    Args:
        config: Completed configuration. All results come from the records of the stages.
        inputs: Results folder of the run.
        teacher: Folder with the embeddings and statistics of the teacher to show.
        output: Folder to write; on an error nothing is written.

    Raises:
        UserError: a file of an earlier stage is missing or damaged.
    """
    records, contents = collect(config, inputs, teacher), items(config)
    with io.atomic(output) as folder:
        folder.mkdir()
        for item in contents:
            content = getattr(import_module(item.path), item.stem)(records)
            if isinstance(content, str):
                (folder / item.file).write_text(content, encoding="utf-8")
            else:
                save(content, folder / item.file)
    log.info("report: %d figures and pages in %s.", len(contents), output)
