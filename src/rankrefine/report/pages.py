"""The report's pages, as HTML made from the collected records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from rankrefine.report.data import Found, Record
from rankrefine.report.templates import render

ORANGE, BLUE = (230, 159, 0), (0, 114, 178)  # of the palette of the figures
SECTIONS = {
    "seeds": ("seed", "seeds"),
    "generate": ("seed", "generate"),
    "consolidate": ("consolidate",),
    "teacher": ("refine",),
    "refine": ("seed", "refine"),
}


def scores(found: Found) -> str:
    """Table of scores, and which encoder was exported and why."""
    cells = {(row.task, row.model, row.metric): row for row in found.scores}
    keys = dict.fromkeys((row.task, row.model) for row in sorted(found.scores, key=_task_order(found)))
    rows = [
        {"task": t, "model": m, "value": cells.get((t, m, "spearman")), "delta": cells.get((t, m, "delta"))}
        for t, m in keys
    ]
    return render("scores", title="Scores", rows=rows, form=("{:.2f}", "{:+.2f}"), why=found.selection.get("why", ""))


def _task_order(found: Found) -> Any:
    tasks = list(dict.fromkeys(row.task for row in found.scores))
    return lambda row: tasks.index(row.task)


def drops(found: Found) -> str:
    """What each stage read, kept and dropped, with examples for each reason."""
    stages = [
        ("Seed sentences", found.seeds),
        ("Generated chains", found.generate),
        ("Ranking lists", found.consolidate),
    ]
    return render("drops", title="Kept and dropped", stages=[_stage_drops(title, record) for title, record in stages])


def _stage_drops(title: str, record: Record) -> dict[str, Any]:
    examples = record.get("examples", {})
    counted = sorted(record["dropped"].items(), key=lambda item: (-item[1], item[0]))
    reasons = [(reason.replace("_", " "), count, examples.get(reason, [])) for reason, count in counted if count]
    read = record["read"] if isinstance(record["read"], int | float) else sum(record["read"].values())
    return {"title": title, "read": int(read), "kept": int(record["kept"]), "reasons": reasons}


def lists(found: Found) -> str:
    """Example lists, each sentence shaded by the teacher's cosine to the seed."""
    return render("lists", title="Example lists", lists=[_list_rows(example) for example in found.examples])


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


def provenance(found: Found) -> str:
    """Models, data, prompt, parameters, versions and times."""
    generate, history = found.generate, found.history
    stages = _stages(found)
    return render(
        "provenance",
        title="What made this result",
        models=[
            *(("language model", *named) for named in generate["models"]),
            ("teacher", *_named(found.similarity.get("teacher"))),
            ("base encoder", *_named(history.get("base"))),
            ("exported encoder", found.selection["chosen"], ""),
        ],
        data=[*_sources(found.seeds), ("development data", *_named(history.get("development_data")))],
        prompts=generate["prompts"],
        stages=[(name, record["seconds"], note) for name, record, note in stages],
        parameters=sorted(_parameters(found, stages).items()),
        versions=_versions([record for _, record, _ in stages]),
    )


def _stages(found: Found) -> list[tuple[str, Record, str]]:
    """(stage, its record, a remark)."""
    made = found.generate
    speed = made["tokens"] / max(made["seconds"], 1e-9)
    machines = "; ".join(", ".join(machine) for machine in made["machines"])
    generated = f"{made['shards']} shards, {made['tokens']:,} tokens, {speed:,.0f} tokens/s; {machines}"
    return [
        ("seeds", found.seeds, ""),
        ("generate", made, generated),
        ("consolidate", found.consolidate, ""),
        ("teacher", found.similarity, ""),
        ("refine", found.history, f"{max((entry['step'] for entry in found.history['steps']), default=0)} steps"),
    ]


def _parameters(found: Found, stages: list[tuple[str, Record, str]]) -> dict[str, str]:
    """What each stage recorded of its own section of the config, and how many seeds in shards of what size.

    The rest of a record's config is not looked at: what a stage is not given stands there with its default.
    """
    settings = {}
    for stage, record, _ in stages:
        own = {key: value for key, value in record.get("config", {}).items() if key in SECTIONS[stage]}
        settings |= dict(flatten(own))
    return settings | dict(flatten(found.budget))


def _sources(seeds: Record) -> list[tuple[str, str, str]]:
    """The seed sources and the sets kept apart from them, as the pool was made with them."""
    section, revisions = seeds.get("config", {}).get("seeds", {}), seeds.get("assets", {})
    named = [(f"seeds: {source['name']}", source["source"]) for source in section.get("sources", [])]
    named += [("decontaminated from", source) for source in section.get("decontaminate", [])]
    return [(what, source, revisions.get(source, "")) for what, source in named]


def _named(made_of: Record | None) -> tuple[str, str]:
    """Source and revision of a model or data set in a record."""
    made_of = made_of or {}
    return str(made_of.get("model") or made_of.get("source") or ""), str(made_of.get("revision") or "")


def flatten(tree: Record, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys and their values as JSON."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, json.dumps(value, ensure_ascii=False)


def _versions(records: list[Record]) -> list[tuple[str, str]]:
    """Each package with its version, or with all of them where stages ran with different ones."""
    found: dict[str, list[str]] = {}
    for record in records:
        for package, version in record.get("versions", {}).items():
            if version not in found.setdefault(package, []):
                found[package].append(version)
    return [(package, ", ".join(versions)) for package, versions in sorted(found.items())]
