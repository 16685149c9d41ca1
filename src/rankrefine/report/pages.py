"""The report's tables of scores, drops, lists and times, as HTML made from the collected records."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from rankrefine.report.collect import Found, Record
from rankrefine.report.figures.lists import total
from rankrefine.report.figures.timings import duration
from rankrefine.report.table import Score, experiment
from rankrefine.report.templates import render

ORANGE, BLUE = (230, 159, 0), (0, 114, 178)  # of the palette of the figures


def scores(found: Found) -> str:
    """Table of scores by task, subset and metric; which encoder was exported and why; what seeds share with tasks."""
    groups: dict[tuple[str, str, str], list[Score]] = {}
    for row in found.scores:
        groups.setdefault((row.task, row.subset, row.metric), []).append(row)
    sections: dict[str, list[dict[str, Any]]] = {}
    for rows in groups.values():
        lower = not rows[0].higher
        note = [f"subset {rows[0].subset}"] if rows[0].subset != "all" else []
        note += [f"n = {rows[0].n:,.0f}"] if rows[0].n == rows[0].n else []
        note += ["lower is better"] if lower else []
        shown = [_score_row(row, found) for row in rows]
        group = {"measure": rows[0].measure, "note": ", ".join(note), "lower": lower, "rows": shown}
        sections.setdefault(rows[0].task, []).append(group)
    return render(
        "scores",
        title="Scores",
        sections=sections,
        why=found.selection.get("why", ""),
        interval=f"{100 * found.confidence:g} %",
        several=any(row.summary for row in found.scores),
        overlap=found.overlap,
    )


def _score_row(row: Score, found: Found) -> dict[str, Any]:
    """A row's texts; `single` for one seed of several, which stands below its mean."""
    single = row.model != experiment(row, found.experiments)
    return {
        "score": row,
        "name": f"seed {row.model.rpartition('/')[2]}" if single else row.model,
        "single": single,
        "chosen": row.model == found.chosen,
        "interval": _between(row.show("ci_low"), row.show("ci_high")),
        "delta_interval": _between(row.show("delta_low", signed=True), row.show("delta_high", signed=True)),
    }


def _between(low: str, high: str) -> str:
    return f"{low} to {high}" if low and high else ""


def drops(found: Found) -> str:
    """What each stage read, kept and dropped, with examples for each reason."""
    stages = [
        ("Seed sentences", found.seeds),
        ("Generated chains", found.generate),
        ("Ranking lists", found.consolidate),
    ]
    return render("drops", title="Kept and dropped", stages=[_stage_drops(title, record) for title, record in stages])


def _stage_drops(title: str, record: Record) -> dict[str, Any]:
    examples = record.get("examples") or {}
    counted = sorted(record["dropped"].items(), key=lambda item: (-item[1], item[0]))
    reasons = [(reason.replace("_", " "), count, examples.get(reason, [])) for reason, count in counted if count]
    return {"title": title, "read": total(record), "kept": int(record["kept"]), "reasons": reasons}


def lists(found: Found) -> str:
    """Example lists, each sentence shaded by the teacher's cosine to the seed."""
    shown = [{"rows": rows, "rises": sum(row["rises"] for row in rows)} for rows in map(_list_rows, found.examples)]
    return render("lists", title="Example lists", lists=shown)


def _list_rows(example: list[tuple[str, float]]) -> list[dict[str, Any]]:
    rises = [False, *(after > before for (_, before), (_, after) in pairwise(example))]
    return [
        {"rank": rank, "sentence": sentence, "cosine": cosine, "color": shade(cosine), "rises": up}
        for rank, ((sentence, cosine), up) in enumerate(zip(example, rises, strict=True))
    ]


def shade(cosine: float) -> str:
    """A see-through CSS colour between orange (0 and below) and blue (1), which suits light and dark pages."""
    weight = min(max(cosine, 0.0), 1.0)
    mixed = (round(weight * blue + (1 - weight) * orange) for blue, orange in zip(BLUE, ORANGE, strict=True))
    return f"rgb({' '.join(map(str, mixed))} / 40%)"


def timings(found: Found) -> str:
    """What each stage took and how fast it was."""
    rows = [
        {
            "name": stage.name,
            "jobs": len(stage.jobs),
            "seconds": duration(stage.seconds),
            "longest": duration(max(job.seconds for job in stage.jobs)),
            "memory": "" if stage.memory is None else f"{stage.memory:,.0f}",
            "cpu": _hours(stage.cpu_hours, stage.measured),
            "gpu": _hours(stage.gpu_hours or None, True),
            "speed": stage.speed,
        }
        for stage in found.stages
    ]
    known = [stage for stage in found.stages if stage.cpu_hours is not None]
    sums = {
        "seconds": duration(sum(stage.seconds for stage in found.stages)),
        "cpu": _hours(
            sum(stage.cpu_hours or 0 for stage in known) if len(known) == len(found.stages) else None,
            all(stage.measured for stage in known),
        ),
        "gpu": _hours(sum(stage.gpu_hours for stage in found.stages) or None, True),
    }
    return render("timings", title="Time and cost", rows=rows, sums=sums)


def _hours(hours: float | None, measured: bool) -> str:
    """Hours; ≈ where they are time times threads."""
    if hours is None:
        return ""
    return f"{'' if measured else '≈ '}{hours:,.3f}"
