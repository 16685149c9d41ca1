"""Command `report`: draw the figures, and write the page that shows them with all results."""

import logging
from importlib import import_module
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.report.collect import collect
from rankrefine.report.contents import items
from rankrefine.report.figures.style import save
from rankrefine.report.page import page as assemble

log = logging.getLogger(__name__)


def run(config: dict[str, Any], inputs: Path, teacher: Path, output: Path, page: Path) -> None:
    """Draw the figures, and write the page that shows them with all results.

    Args:
        config: Completed configuration. All results come from the records of the stages.
        inputs: Results folder of the run.
        teacher: Folder with the embeddings and statistics of the teacher to show.
        output: Folder to write with the figures as SVG; on an error nothing is written.
        page: HTML file to write.

    Raises:
        UserError: a file of an earlier stage is missing or damaged.
    """
    records, contents = collect(config, inputs, teacher), items(config)
    with io.atomic(output) as folder:
        folder.mkdir()
        for item in contents:
            save(getattr(import_module(item.path), item.name)(records), folder / item.file)
        drawn = {item.name: (folder / item.file).read_text(encoding="utf-8") for item in contents}
        io.write_text(page, assemble(records, drawn))
    log.info("report: %s, with %d figures in %s.", page, len(contents), output)
