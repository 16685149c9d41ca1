"""HTML tables of the report: scores, drops, example lists and times."""

from itertools import pairwise
from typing import Any

from rankrefine.report.figures.lists import dropped
from rankrefine.report.figures.timings import duration
from rankrefine.report.html import render
from rankrefine.report.records import Record, Records
from rankrefine.score_table import Score

ORANGE, BLUE = (230, 159, 0), (0, 114, 178)  # from the palette of the figures
CHANGES = {"swapped": "changed roles", "repaired": "repaired", "random_pairs": "random pairs added"}  # by `curate`
SCORES = {"anchor": "", "positive": "score", "negative": "score_negative"}  # column with the score of each role


def scores(records: Records) -> str:
    """Render the score table by task, subset and metric, and the overlap of seed sentences with the tasks."""
    groups: dict[tuple[str, str, str], list[Score]] = {}
    for row in records.scores:
        groups.setdefault(row.key, []).append(row)
    sections: dict[str, list[dict[str, Any]]] = {}
    for (task, subset, _), rows in groups.items():
        first = rows[0]
        notes = [
            "" if subset == "all" else f"subset {subset}",
            "" if first.n is None else f"n = {first.n:,}",
            "" if first.higher else "lower is better",
        ]
        group = {"measure": first.measure, "note": ", ".join(filter(None, notes)), "lower": not first.higher}
        sections.setdefault(task, []).append(group | {"rows": [_score_row(row, records) for row in rows]})
    return render(
        "scores",
        title="Scores",
        sections=sections,
        why=records.selection.get("why", ""),
        interval=f"{100 * records.confidence:g} %",
        several=any(row.is_mean for row in records.scores),
        overlap=records.overlap,
    )


def _score_row(row: Score, records: Records) -> dict[str, Any]:
    """Return the texts of a row; `single` marks a training that is listed below the mean of its experiment."""
    single = row.model != records.experiment(row)
    return {
        "score": row,
        "name": f"seed {row.model.rpartition('/')[2]}" if single else row.model,
        "single": single,
        "chosen": row.model == records.chosen,
        "interval": _between(row.show("ci_low"), row.show("ci_high")),
        "delta_interval": _between(row.show("delta_low"), row.show("delta_high")),
    }


def _between(low: str, high: str) -> str:
    return f"{low} to {high}" if low and high else ""


def drops(records: Records) -> str:
    """Render the numbers of sentences or lists that each stage read, kept and dropped, with examples by reason."""
    stages = {
        "Seed sentences": records.seeds,
        "Generated chains": records.generate,
        "Ranking lists": records.consolidate,
    }
    return render("drops", title="Kept and dropped", stages=[_drops(title, stage) for title, stage in stages.items()])


def _drops(title: str, record: Record) -> dict[str, Any]:
    examples = record.get("examples") or {}
    reasons = [(reason, count, examples.get(reason, [])) for reason, count in dropped(record)]
    return {"title": title, "read": int(record["read"]), "kept": int(record["kept"]), "reasons": reasons}


def lists(records: Records) -> str:
    """Render example lists, each sentence shaded by the teacher's cosine to the seed sentence."""
    shown = [{"rows": rows, "rises": sum(row["rises"] for row in rows)} for rows in map(_list_rows, records.examples)]
    return render("lists", title="Example lists", lists=shown)


def _list_rows(example: list[tuple[str, float]]) -> list[dict[str, Any]]:
    rises = [False, *(after > before for (_, before), (_, after) in pairwise(example))]
    return [
        {"rank": rank, "sentence": sentence, "cosine": cosine, "color": shade(cosine), "rises": up}
        for rank, ((sentence, cosine), up) in enumerate(zip(example, rises, strict=True))
    ]


def shade(cosine: float) -> str:
    """Return a translucent CSS colour between orange (0 and below) and blue (1), for light and dark pages."""
    weight = min(max(cosine, 0.0), 1.0)
    mixed = (round(weight * blue + (1 - weight) * orange) for blue, orange in zip(BLUE, ORANGE, strict=True))
    return f"rgb({' '.join(map(str, mixed))} / 40%)"


def base_examples(records: Records) -> str:
    """Render training examples of the base encoder, and what was dropped of them."""
    examples = records.base.examples
    roles = [role for role in SCORES if any(row.get(role) for row in examples.rows)]
    steps = {"Quality rules": examples.filtered, "Scorer": examples.curated}
    return render(
        "base_examples",
        title="Training examples of the base encoder",
        imported=examples.imported,
        writers=examples.filtered["made_by"],
        scorer=examples.scorer,
        changes=[f"{(examples.curated or {}).get(key, 0):,} {text}" for key, text in CHANGES.items()],
        roles=roles,
        examples=[[_cell(row, role) for role in roles] for row in examples.rows],
        stages=[_drops(title, record) for title, record in steps.items() if record],
    )


def _cell(row: dict[str, Any], role: str) -> dict[str, Any]:
    """Return the text of a role, and its score with a colour if there is one."""
    score = row.get(SCORES[role])
    return {"text": row[role] or "", "score": score, "color": None if score is None else shade(score)}


def timings(records: Records) -> str:
    """Render the cost and speed of each stage."""
    rows = [
        {
            "name": stage.name,
            "jobs": len(stage.jobs),
            "seconds": duration(stage.seconds),
            "longest": duration(max(job.seconds for job in stage.jobs)),
            "memory": "" if stage.memory is None else f"{stage.memory:,.0f}",
            "cpu": _hours(stage.cpu_hours, stage.measured),
            "gpu": _hours(stage.gpu_hours or None),
            "speed": stage.speed,
        }
        for stage in records.stages
    ]
    cpu = [stage.cpu_hours for stage in records.stages]
    sums = {
        "seconds": duration(sum(stage.seconds for stage in records.stages)),
        "cpu": _hours(None if None in cpu else sum(cpu), all(stage.measured for stage in records.stages)),
        "gpu": _hours(sum(stage.gpu_hours for stage in records.stages) or None),
    }
    return render("timings", title="Time and cost", rows=rows, sums=sums)


def _hours(hours: float | None, measured: bool = True) -> str:
    """Format hours, with ≈ if they are wall time times threads."""
    return "" if hours is None else f"{'' if measured else '≈ '}{hours:,.3f}"
