"""Facts of the run, and everything that its result depends on."""

import json
from collections.abc import Iterator
from typing import Any

from rankrefine.ranking_lists.shards import WRITTEN
from rankrefine.report.reading import join_shards
from rankrefine.report.records import Base, Record, Records


def facts(records: Records) -> list[tuple[str, str, str]]:
    """Return the main facts of the run: name, value, and a note."""
    history, pool, lists = records.history, records.seeds, records.consolidate
    config, experiments = history["config"]["refine"], records.experiments
    seeds = sorted({candidate["seed"] for candidate in records.selection["candidates"]})
    sources = dict.fromkeys(source for role, source, _ in _sources(pool) if role.startswith("seeds:"))
    sources.pop(WRITTEN, None)  # its writer is named
    sentences = f"{pool['read']:,} read, {pool['kept']:,} in the pool, {lists['read']:,} used"
    trainings = f"{_count(len(experiments), 'experiment')} × {_count(len(seeds), 'seed')}"
    target, loss = f"{config['target']}, ω {config['omega']}", f"{config['loss']}, τ {config['tau']}"
    return [
        ("Base encoder", _name(history["base"]), "the encoder to refine, and the reference for all differences"),
        *_base_facts(records.base),
        ("Teacher", _teachers(history["teachers"]), "its similarities are part of the targets"),
        ("Language model", _writer(records), "wrote the rewrites"),
        ("Sentences", sentences, ", ".join([*sources, *_seed_writers(pool)])),
        ("Ranking lists", f"{lists['kept']:,}{_sizes(lists)}", "the training data"),
        ("Targets", target, "teacher and generated order combined"),
        ("Loss", loss, "minimised by the training"),
        ("Trainings", f"{trainings} ({', '.join(map(str, seeds))})", ", ".join(experiments)),
        ("Exported", records.selection["chosen"], records.selection.get("why", "")),
    ]


def _base_facts(base: Base | None) -> list[tuple[str, str, str]]:
    """Return the facts about the training of the base encoder and about its examples."""
    if base is None:
        return []
    history, examples = base.history, base.examples
    before, after = history["base_development"], history["best_development"]
    trained = f"{history['config']['base']['objective']} on {history['examples']:,} examples"
    gain = f"development score {before:.2f} before, {after:.2f} after (step {history['best_step']})"
    facts = [("Base trained by", trained, gain)]
    if guides := _teachers(history["guides"]):
        facts.append(("Guide", guides, "the objective compares with it"))
    if examples is None:
        return facts
    last = examples.curated or examples.filtered
    made_by = examples.filtered["made_by"]
    recipes = ", ".join(dict.fromkeys(made["prompt"] for made in made_by if made.get("prompt")))
    count = f"{last['kept']:,} kept of {examples.filtered['read']:,}"
    origin = f"written with the recipe {recipes} by" if recipes else "imported from"
    facts.append(("Training examples", count, f"{origin} {', '.join(map(_name, made_by))}"))
    if examples.scorer:
        facts.append(("Scorer", _name(examples.scorer), "chose them; what is trained on them learns from it, too"))
    return facts


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _teachers(teachers: list[Record]) -> str:
    """Name the teachers, with their weights if there are several."""
    several = len(teachers) > 1
    return ", ".join(_name(each) + (f" ({each.get('weight', 1):g})" if several else "") for each in teachers)


def _writer(records: Records) -> str:
    """Name the language model, or the origin of imported lists."""
    names = ", ".join(" ".join(filter(None, model)) for model in records.generate["models"])
    return f"none: the lists were imported from {names}" if records.generate["imported"] else names


def _seed_writers(pool: Record) -> list[str]:
    """Name the language models that wrote seed sentences, if any did."""
    return [f"written by {_name(made)}" for made in pool.get("made_by", [])]


def _sizes(lists: Record) -> str:
    """Return the range of list lengths."""
    sizes = sorted(map(int, lists.get("list_sizes") or {}))
    return f" of {' to '.join(map(str, dict.fromkeys((sizes[0], sizes[-1]))))} sentences" if sizes else ""


def provenance(records: Records) -> dict[str, Any]:
    """Return models, data, prompts, stages, parameters and versions, as rows of tables."""
    history, stages = records.history, _stages(records)
    writer = "imported lists" if records.generate["imported"] else "language model"
    return {
        "models": [
            *((writer, *model) for model in records.generate["models"]),
            *(("teacher", *_source(teacher)) for teacher in history["teachers"]),
            ("base encoder", *_source(history["base"])),
            *_base_models(records),
            ("exported encoder", records.selection["chosen"], ""),
        ],
        "data": [*_sources(records.seeds), ("development data", *_source(history["development_data"]))],
        "prompts": [*records.generate["prompts"], *_prompts(records)],
        "stages": [(name, record["seconds"], note) for name, record, note in stages],
        "parameters": sorted(_parameters(records, stages).items()),
        "versions": _versions([record for _, record, _ in stages]),
    }


def _base_models(records: Records) -> list[tuple[str, str, str]]:
    """Return role, source and revision of the models behind the base encoder, and of writers of seed sentences."""
    base = records.base
    models = [("writer of seed sentences", *_source(made)) for made in records.seeds.get("made_by", [])]
    if base is None:
        return models
    models.append(("base encoder, start", *_source(base.history["base"])))
    models += [("guide", *_source(guide)) for guide in base.history["guides"]]
    if base.examples:
        role = "imported examples" if base.examples.imported else "writer of examples"
        models += [(role, *_source(made)) for made in base.examples.filtered["made_by"]]
        models += [("scorer", *_source(base.examples.scorer))] if base.examples.scorer else []
    return models


def _prompts(records: Records) -> list[tuple[str, str, str]]:
    """Return name, SHA-256 and text of the recipes of seed sentences and examples, and of the scorer's prompt."""
    models = [*records.seeds.get("made_by", [])]
    if records.base and records.base.examples:
        models += [*records.base.examples.filtered["made_by"], records.base.examples.scorer or {}]
    return [(each["prompt"], each["prompt_sha256"], each["prompt_text"]) for each in models if "prompt" in each]


def _stages(records: Records) -> list[tuple[str, Record, str]]:
    """Return name, record and a note for each stage."""
    generate, written = records.generate, records.written
    return [
        *([("write", written, _shards(written))] if written else []),
        ("seeds", records.seeds, ""),
        ("generate", generate, _shards(generate)),
        ("consolidate", records.consolidate, ""),
        *_base_stages(records.base),
        ("teacher", records.similarity, ""),
        ("refine", records.history, f"{_count(_steps(records.history), 'step')}, the exported encoder"),
    ]


def _base_stages(base: Base | None) -> list[tuple[str, Record, str]]:
    """Return name, record and a note for each stage of the base encoder's training."""
    if base is None:
        return []
    jobs = dict(base.examples.jobs) if base.examples else {}
    shards = jobs.pop("synthesize", {})
    written = [join_shards(list(shards.values()))] if shards else []
    return [
        *(("synthesize", record, _shards(record)) for record in written),
        *((name, records[name], "") for name, records in jobs.items()),
        ("base", base.history, _count(_steps(base.history), "step")),
    ]


def _shards(joined: Record) -> str:
    """Describe the jobs of a language model: number, tokens, speed and machines."""
    notes = [_count(joined["shards"], "shard")]
    if joined["tokens"]:
        speed = joined["tokens"] / max(joined["seconds"], 1e-9)
        notes[0] += f", {joined['tokens']:,} tokens, {speed:,.0f} tokens/s"
    return "; ".join([*notes, *(", ".join(filter(None, machine)) for machine in joined["machines"])])


def _steps(history: Record) -> int:
    """Return the number of steps of a training."""
    return max((entry["step"] for entry in history["steps"]), default=0)


def _parameters(records: Records, stages: list[tuple[str, Record, str]]) -> dict[str, str]:
    """Return the configuration in the records, and the keys that declare the shards: JSON values by dotted key."""
    trees = [*(record.get("config", {}) for _, record, _ in stages), records.budget]
    return dict(leaf for tree in trees for leaf in _flatten(tree))


def _sources(pool: Record) -> list[tuple[str, str, str]]:
    """Return role, source and revision of the seed sentences and of the data that they are decontaminated against."""
    section, revisions = pool.get("config", {}).get("seeds", {}), pool.get("assets", {})
    sources = [(f"seeds: {source['name']}", source["source"]) for source in section.get("sources", [])]
    sources += [("decontaminated from", source) for source in section.get("decontaminate", [])]
    return [(role, source, revisions.get(source, "")) for role, source in sources]


def _source(asset: Record) -> tuple[str, str]:
    """Return source and revision of a model or data set in a record."""
    return str(asset.get("model") or asset.get("source") or ""), str(asset.get("revision") or "")


def _name(asset: Record) -> str:
    source, revision = _source(asset)
    return f"{source} ({revision})" if revision else source


def _flatten(tree: Record, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted keys and their values as JSON."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, json.dumps(value, ensure_ascii=False)


def _versions(records: list[Record]) -> list[tuple[str, str]]:
    """Return each package with its version, or with all versions if the stages differ."""
    versions: dict[str, dict[str, None]] = {}
    for record in records:
        for package, version in record.get("versions", {}).items():
            versions.setdefault(package, {})[version] = None
    return [(package, ", ".join(used)) for package, used in sorted(versions.items())]
