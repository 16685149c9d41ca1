"""Contents of the tables of the report: scores, experiments, example lists, drops and times."""

import json
from itertools import pairwise
from typing import Any

from rankrefine.export.experiments import spread, summaries
from rankrefine.report.figures.lists import dropped
from rankrefine.report.figures.timings import duration
from rankrefine.report.records import Record, Records, genre
from rankrefine.score_table import Score

LONGEST = 70  # characters of a sentence in a list of choices
CHANGES = {"swapped": "changed roles", "repaired": "repaired", "random_pairs": "random pairs added"}  # by `curate`
SCORES = {"anchor": "", "positive": "score", "negative": "score_negative"}  # column with the score of each role


def scores(records: Records, by_genre: bool) -> list[dict[str, Any]]:
    """Return a group of rows for each task and metric, or for each genre of them."""
    groups: dict[tuple[str, str, str], list[Score]] = {}
    for row in records.scores:
        if (row.subset != "all") == by_genre:
            groups.setdefault(row.key, []).append(row)
    return [_group(rows, records) for rows in groups.values()]


def _group(rows: list[Score], records: Records) -> dict[str, Any]:
    first = rows[0]
    notes = [first.measure, "" if first.n is None else f"n = {first.n:,}", "" if first.higher else "lower is better"]
    return {
        "task": first.task,
        "genre": genre(first.subset),
        "note": ", ".join(filter(None, notes)),
        "rows": [_score_row(row, records) for row in rows],
    }


def _score_row(row: Score, records: Records) -> dict[str, Any]:
    """Return the texts of a row; `single` marks a training that is listed below the mean of its experiment."""
    experiment = records.experiment(row)
    single = row.model != experiment
    better = row.significant and (row.delta > 0) == row.higher
    return {
        "model": experiment,  # by which readers choose rows
        "name": f"seed {row.model.rpartition('/')[2]}" if single else row.model,
        "single": single,
        "chosen": row.model == records.chosen,
        "value": row.show_sd("value"),
        "interval": _between(row.show("ci_low"), row.show("ci_high")),
        "delta": row.show_sd("delta"),
        "delta_interval": _between(row.show("delta_low"), row.show("delta_high")),
        "change": ("better" if better else "worse") if row.significant else "",
    }


def _between(low: str, high: str) -> str:
    return f"{low} to {high}" if low and high else ""


def experiments(records: Records) -> dict[str, Any]:
    """Return a row for each experiment, by falling development score, and the configuration keys that differ."""
    names = records.experiments
    sections = {name: _settings(records.histories_of(name)[0]) for name in names}
    keys = dict.fromkeys(key for section in sections.values() for key in section)
    differing = [key for key in keys if len({section.get(key) for section in sections.values()}) > 1]
    rows = [
        {
            "name": row.name,
            "chosen": row.name == records.chosen,
            "seeds": row.seeds,
            "development": spread(row.development),
            "gain": spread(row.gain, signed=True),
            "settings": [sections[row.name].get(key, "") for key in differing],
        }
        for row in summaries(records.selection["candidates"], records.scores)
    ]
    return {"rows": rows, "differing": differing}


def _settings(history: Record) -> dict[str, str]:
    """Return the configuration of a training as texts by key."""
    return {key: json.dumps(value, ensure_ascii=False) for key, value in history["config"]["refine"].items()}


def drops(records: Records) -> list[dict[str, Any]]:
    """Return the numbers of sentences or lists that each stage read, kept and dropped, with examples by reason."""
    stages = {
        "Seed sentences": records.seeds,
        "Generated chains": records.generate,
        "Ranking lists": records.consolidate,
    }
    return [_drops(title, stage) for title, stage in stages.items()]


def _drops(title: str, record: Record) -> dict[str, Any]:
    examples = record.get("examples") or {}
    reasons = [(reason, count, examples.get(reason, [])) for reason, count in dropped(record)]
    return {"title": title, "read": int(record["read"]), "kept": int(record["kept"]), "reasons": reasons}


def lists(records: Records) -> list[dict[str, Any]]:
    """Return the example lists: each sentence with its similarity to the seed sentence and its rank by the teacher."""
    return [_list(number, example) for number, example in enumerate(records.examples, start=1)]


def _list(number: int, example: list[tuple[str, float]]) -> dict[str, Any]:
    cosines = [cosine for _, cosine in example]
    rises = [False, *(after > before for before, after in pairwise(cosines))]
    order = sorted(range(1, len(cosines)), key=lambda rank: -cosines[rank])
    teacher = {rank: place for place, rank in enumerate([0, *order])}
    rows = [
        {"rank": rank, "sentence": sentence, "cosine": cosine, "rises": rises[rank], "teacher": teacher[rank]}
        for rank, (sentence, cosine) in enumerate(example)
    ]
    seed = example[0][0]
    name = f"{number}. {seed if len(seed) <= LONGEST else seed[: LONGEST - 1] + '…'}"
    return {"name": name, "number": number, "seed": seed, "rows": rows, "in_order": len(rises) - 1 - sum(rises)}


def base_examples(records: Records) -> dict[str, Any]:
    """Return training examples of the base encoder, and what was dropped of them."""
    examples = records.base.examples
    roles = [role for role in SCORES if any(row.get(role) for row in examples.rows)]
    steps = {"Quality rules": examples.filtered, "Scorer": examples.curated}
    return {
        "imported": examples.imported,
        "writers": examples.filtered["made_by"],
        "scorer": examples.scorer,
        "changes": [f"{(examples.curated or {}).get(key, 0):,} {text}" for key, text in CHANGES.items()],
        "roles": roles,
        "rows": [
            [{"text": row[role] or "", "score": row.get(SCORES[role])} for role in roles] for row in examples.rows
        ],
        "stages": [_drops(title, record) for title, record in steps.items() if record],
    }


def timings(records: Records) -> dict[str, Any]:
    """Return cost and speed of each stage, and their sums."""
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
    return {"rows": rows, "sums": sums}


def _hours(hours: float | None, measured: bool = True) -> str:
    """Format hours, with ≈ if they are wall time times threads."""
    return "" if hours is None else f"{'' if measured else '≈ '}{hours:,.3f}"
