"""The report's pages about the run itself: what was done and with what, in short and in full."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rankrefine.report.collect import Found, Record
from rankrefine.report.figures.lists import total
from rankrefine.report.figures.timings import duration
from rankrefine.report.table import Score, main
from rankrefine.report.templates import render

SECTIONS = {
    "seeds": ("seed", "seeds", "lists"),
    "generate": ("seed", "generate", "lists"),
    "consolidate": ("consolidate",),
    "teacher": ("refine",),
    "refine": ("seed", "refine"),
}


def summary(found: Found) -> str:
    """The main result in a sentence, and what was done with what."""
    made, history = found.generate, found.history
    settings = history.get("config", {}).get("refine", {})
    seeds = sorted({candidate["seed"] for candidate in found.selection["candidates"]})
    sizes = found.consolidate.get("list_sizes") or {}
    length = f" of {' to '.join(dict.fromkeys((min(sizes, key=int), max(sizes, key=int))))} sentences" if sizes else ""
    names = [" ".join(filter(None, named)) for named in made["models"]]
    wrote = f"none: the lists were {', '.join(names)}" if found.imported else ", ".join(names)
    weights = [(_name(teacher), teacher.get("weight", 1)) for teacher in history["teachers"]]
    facts = [
        ("Base encoder", _name(history.get("base")), "the encoder that is refined, and what it is compared with"),
        (
            "Teacher",
            ", ".join(name if len(weights) == 1 else f"{name} ({weight:g})" for name, weight in weights),
            "its similarities take part in the targets",
        ),
        ("Language model", wrote, "wrote the rewrites"),
        (
            "Sentences",
            f"{total(found.seeds):,} read, {found.seeds['kept']:,} in the pool, {found.consolidate['read']:,} used",
            ", ".join(dict.fromkeys(source for what, source, _ in _sources(found.seeds) if what.startswith("seeds:"))),
        ),
        ("Ranking lists", f"{found.consolidate['kept']:,}{length}", "what the encoder learned from"),
        (
            "Targets",
            f"target {settings.get('target', '')}, ω {settings.get('omega', '')}",
            "how teacher and order are joined",
        ),
        ("Loss", f"{settings.get('loss', '')}, τ {settings.get('tau', '')}", "what the training lowers"),
        (
            "Trainings",
            f"{len(found.experiments)} {'experiment' if len(found.experiments) == 1 else 'experiments'} × "
            f"{len(seeds)} {'seed' if len(seeds) == 1 else 'seeds'} ({', '.join(map(str, seeds))})",
            ", ".join(found.experiments),
        ),
        ("Exported", found.selection["chosen"], found.selection.get("why", "")),
        ("Time", duration(sum(stage.seconds for stage in found.stages)), "all jobs added up"),
    ]
    return render("summary", title="What was done", result=result(found), facts=facts, overlap=_unclean(found))


def result(found: Found) -> str:
    """The main result as one sentence."""
    name = found.chosen
    row = main(found.scores, name)
    if row is None:
        return f"{name} was exported; the score table has no difference to the base for it."
    of_base = next((other for other in found.scores if _same_task(other, row) and other.model == "base"), None)
    where = f"{row.task} ({row.measure})" + (f" as the mean of {row.seeds:.0f} seeds" if row.summary else "")
    values = f", from {of_base.show('value')} to {row.show('value')}" if of_base else ""
    change = "gains" if row.delta >= 0 else "loses"
    size = row.show("delta").lstrip("-")
    if row.delta_low != row.delta_low:
        return f"{name} {change} {size} on {where}{values}; there is no interval."
    sure = (
        "The interval excludes zero: the difference is more than the choice of examples."
        if row.sure
        else "The interval includes zero: the difference may be due to the choice of examples."
    )
    interval = f"{row.show('delta_low', signed=True)} to {row.show('delta_high', signed=True)}"
    level = f"{100 * found.confidence:g} %"
    return f"{name} {change} {size} on {where}{values} ({level} interval of the difference: {interval}). {sure}"


def _same_task(one: Score, other: Score) -> bool:
    return (one.task, one.subset, one.metric) == (other.task, other.subset, other.metric)


def _unclean(found: Found) -> list[Record]:
    """Tasks that share sentences with the seeds."""
    return [record for record in found.overlap if record["found"]]


def provenance(found: Found) -> str:
    """Models, data, prompt, parameters, versions and times."""
    generate, history = found.generate, found.history
    stages = _stages(found)
    return render(
        "provenance",
        title="What made this result",
        models=[
            *(("language model", *named) for named in generate["models"]),
            *(("teacher", *_named(teacher)) for teacher in history["teachers"]),
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
    tokens = f"{made['tokens']:,} tokens, {made['tokens'] / max(made['seconds'], 1e-9):,.0f} tokens/s"
    machines = "; ".join(", ".join(filter(None, machine)) for machine in made["machines"])
    shards = f"{made['shards']} {'shard' if made['shards'] == 1 else 'shards'}"
    generated = "; ".join(filter(None, (f"{shards}, {tokens}" if made["tokens"] else shards, machines)))
    steps = max((entry["step"] for entry in found.history["steps"]), default=0)
    return [
        ("seeds", found.seeds, ""),
        ("generate", made, generated),
        ("consolidate", found.consolidate, ""),
        ("teacher", found.similarity, ""),
        ("refine", found.history, f"{steps} steps, the exported encoder"),
    ]


def _parameters(found: Found, stages: list[tuple[str, Record, str]]) -> dict[str, str]:
    """What each stage recorded of its own section of the config, and how many seeds in shards of what size.

    The rest of a record's config is not looked at: what a stage is not given stands there with its default.
    """
    settings = {}
    for stage, record, _ in stages:
        own = {key: value for key, value in record.get("config", {}).items() if key in SECTIONS[stage]}
        settings |= dict(flatten(own))
    return settings | ({} if found.imported else dict(flatten(found.budget)))


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


def _name(made_of: Record | None) -> str:
    """Source and revision as one text."""
    source, revision = _named(made_of)
    return f"{source} ({revision})" if revision else source


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
