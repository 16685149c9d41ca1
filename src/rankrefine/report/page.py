"""The report: one HTML page with all results, which needs nothing beside it."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from rankrefine.report import descriptions, tables
from rankrefine.report.contents import CONTENTS, Item
from rankrefine.report.figures.scores import REPRESENTATION
from rankrefine.report.figures.style import DARK
from rankrefine.report.figures.timings import duration
from rankrefine.report.headline import by_genre, headline, short_name
from rankrefine.report.html import render, script
from rankrefine.report.inline_svg import inline, variable
from rankrefine.report.provenance import facts, provenance
from rankrefine.report.records import Records

SECTIONS = {  # id, which is also the name of the template -> title
    "scores": "Scores",
    "genres": "By genre",
    "similarity": "Similarity by rank",
    "lists": "Example lists",
    "training": "Training",
    "base": "Base encoder",
    "drops": "Kept and dropped",
    "time": "Time and cost",
    "provenance": "What made it",
    "use": "Use the encoder",
    "cite": "Cite",
}


def page(records: Records, drawn: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        records: Records of the run.
        drawn: SVG of each figure by name, those of `contents.items`.
    """
    genres = tables.scores(records, by_genre=True)
    without = {"genres": not genres, "base": records.base is None}
    code, digest = script()
    return render(
        "page",
        sections={name: title for name, title in SECTIONS.items() if not without.get(name)},
        colors={variable(light): (light, dark) for light, dark in DARK.items()},
        script=Markup(code),
        script_hash=digest,
        headline=headline(records),
        tiles=_tiles(records),
        warnings=[record["warning"] for record in records.overlap if record["warning"]],
        figures={item.name: _figure(item, drawn[item.name], records) for item in CONTENTS if item.name in drawn},
        interval=f"{100 * records.confidence:g} %",
        scores=tables.scores(records, by_genre=False),
        genres=genres,
        changes=by_genre(records),
        overlap=records.overlap,
        lists=tables.lists(records),
        drops=tables.drops(records),
        timings=tables.timings(records),
        why=records.selection.get("why", ""),
        experiments=tables.experiments(records),
        base_examples=tables.base_examples(records) if records.base and records.base.examples else None,
        facts=facts(records),
        provenance=provenance(records),
        **_several(records),
    )


def _tiles(records: Records) -> list[tuple[str, str, str]]:
    """Return name, value and note of the few facts beside the headline."""
    lists, history = records.consolidate, records.history
    models = ", ".join(short_name(model) for model, _ in records.generate["models"])
    teachers = ", ".join(short_name(teacher["model"]) for teacher in history["teachers"])
    origin = f"imported from {models}" if records.generate["imported"] else f"written by {models}"
    trainings = "" if len(records.histories) == 1 else f", the best of {len(records.histories)} trainings"
    seconds = sum(stage.seconds for stage in records.stages)
    return [
        ("Encoder", short_name(history["base"]["model"]), f"refined with the teacher {teachers}"),
        ("Ranking lists", f"{lists['kept']:,}", f"{origin}; no human labels"),
        ("Exported", records.selection["chosen"], f"step {history['best_step']}{trainings}"),
        ("Time", duration(seconds), "sum over all jobs"),
    ]


def _several(records: Records) -> dict[str, bool]:
    """Return what the run has several of, or has at all: other figures and tables would say nothing."""
    return {
        "several_seeds": any(row.is_mean for row in records.scores),
        "several_models": len({records.experiment(row) for row in records.scores} - {"base"}) > 1,
        "several_trainings": len(records.histories) > 1,
        "has_representation": any(row.task == REPRESENTATION for row in records.scores),
    }


def _figure(item: Item, svg: str, records: Records) -> dict[str, Any]:
    """Return the parts of a figure: picture, title and caption."""
    caption = " ".join(item.caption.read_text(encoding="utf-8").split())
    describe = getattr(descriptions, item.name, None)
    description = describe(records) if describe else f"{caption.partition('.')[0]}."
    return {"svg": inline(svg, item.name, item.label, description), "title": item.label, "caption": caption}
