"""`python -m rankrefine generate`, `synthesize` and `write`: one shard of what the language model writes.

The requests are about seed sentences of the pool, or by `write` about the slots of a recipe. A shard is cut into
blocks (see `blocks`). Draws depend on the random seed and the seed sentence or slot alone, and the schedule on
the block alone, so an interrupted job gives the same bytes on the same machine.
"""

import logging
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest
from rankrefine.errors import UserError
from rankrefine.generate import blocks, pace, workers
from rankrefine.generate.journal import Journal
from rankrefine.generate.recipes.recipe import COMPLETE, Draft, Recipe, schema
from rankrefine.llm.facts import facts
from rankrefine.llm.interface import Engine
from rankrefine.locks import locked
from rankrefine.progress import Progress
from rankrefine.provenance import Record

log = logging.getLogger(__name__)

STAGES = {"write": "write", "examples": "synthesize", "seeds": "generate"}  # by the section with the key `count`
COUNTS = {  # in messages about the progress of a stage
    "write": "request {done} of {total}",
    "synthesize": "seed sentence {done} of {total}",
    "generate": "list {done} of {total}",
}
RECIPES = {"write": "genres", "examples": "steps"}  # of these sections, in place of `generate.recipe`
ENOUGH = 20  # completions that show whether a parser works


def run(
    config: dict[str, Any],
    pool: Path | None,
    pool_stats: Path | None,
    first: int,
    rows: int,
    budget: int | None,
    llm: Path | None,
    threads: int | None,
    code: list[str] | None,
    output: Path,
    stats: Path,
) -> None:
    """Generate one shard: ranking lists (generate), training examples (synthesize) or seed sentences (write).

    Args:
        config: Configuration: a YAML file or inline JSON; the section `examples` or `write` has a recipe of its own.
        pool: Seed pool (parquet) from `seeds`; none for write.
        pool_stats: Record (JSON) from `seeds`; none for write.
        first: First row of the pool to use, or first request.
        rows: Number of rows or requests.
        budget: Seed sentences that the whole run needs; a smaller pool is an error.
        llm: Manifest (JSON) of the language model; not for the fake engine.
        threads: CPU threads to use (default: all).
        code: Code digests; finished blocks from different code are discarded (default: none).
        output: Shard (parquet) to write.
        stats: Record (JSON) to write.

    Raises:
        UserError: the pool is too small, the model or the prompt cannot be used, or another process writes the shard.
    """
    settings = config["generate"]
    engine_facts = facts(settings["engine"])
    section = _section(config)
    stage = STAGES[section]
    record = Record(stage, config, *engine_facts.packages, "pyarrow")
    recipe = load_recipe(config)
    if section == "write":
        seeds = recipe.slots(first, rows)
    elif pool is None or pool_stats is None or budget is None:
        raise UserError(f"{stage} requires --pool, --pool-stats and --budget.")
    else:
        seeds = _read(pool, first, rows, budget, pool_stats, f"{section}.count")
    model = load_manifest(llm) if llm is not None else None
    folder = output.with_suffix(".blocks")
    with locked(folder):
        size = settings["block_size"]
        parts = [seeds.slice(start, size) for start in range(0, seeds.num_rows, size)]
        # split for all blocks, not for those that are left: an interrupted job must give the same bytes
        engines = load_engine(settings, recipe, model, min(size, seeds.num_rows), threads).split(len(parts))
        engine = engines[0].describe()
        inputs = _inputs(record, recipe, model, engine, code)
        journal = Journal(folder, inputs, schema(recipe.columns))
        with Progress(f"{stage} {output.stem}", seeds.num_rows, COUNTS[stage]) as progress:
            table, counts = _all_blocks(parts, engines, recipe, journal, progress)
        io.write_table(output, table)
        dropped = Counter(status for status in table["status"].to_pylist() if status != COMPLETE)
        if not engine_facts.counts_near_ties or engine["dtype"] != "float32":
            counts["near_ties"] = None  # meaningless in low precision
        kept, speed = table.num_rows - dropped.total(), counts["tokens"] / max(counts["generating_seconds"], 1e-9)
        io.write_json(
            stats,
            record.finish(
                first=first,
                rows=rows,
                read=table.num_rows,
                kept=kept,
                dropped=dict(sorted(dropped.items())),
                **counts,
                tokens_per_second=round(speed, 1),
                model=model.source if model else settings["engine"],
                revision=model.revision if model else None,
                **recipe.describe(),
                **engine,
            ),
        )
        journal.remove()
        log.info("%s %s: %d complete, %d given up, %.0f tokens/s", stage, output.stem, kept, dropped.total(), speed)


def load_recipe(config: dict[str, Any]) -> Recipe:
    """Return the recipe of the section `write` or `examples`, if there is one, else `generate.recipe`.

    It is imported by name, so that a job depends on the code of its own recipe alone.

    Raises:
        UserError: the recipe's settings cannot be used.
    """
    name = RECIPES.get(_section(config)) or config["generate"]["recipe"]
    return import_module(f"rankrefine.generate.recipes.{name}").load(config)


def load_engine(
    settings: dict[str, Any], recipe: Recipe, model: Manifest | None, max_running: int, threads: int | None
) -> Engine:
    """Return the engine `generate.engine` (imported by name, see `load_recipe`), for up to `max_running` requests.

    Raises:
        UserError: the model or the engine cannot be used here.
    """
    load = import_module(f"rankrefine.llm.{settings['engine']}.engine").load
    return load(model.path if model else None, recipe.prompts, recipe.sampling, max_running, settings, threads)


def _section(config: dict[str, Any]) -> str:
    """Return the section with the key `count`; a job receives one of them alone."""
    return next(section for section in STAGES if section in config or section == "seeds")


def _read(pool: Path, first: int, rows: int, budget: int, pool_stats: Path, key: str) -> pa.Table:
    """Return `rows` rows of the pool, or those there are: the shard may have been larger in an earlier run.

    Raises:
        UserError: the pool has fewer rows than `budget`, the value of `key`; or not more than `first`.
    """
    seeds = io.read_table(pool)
    available = seeds.num_rows
    if available < budget:
        record = io.read_json(pool_stats)
        dropped = Counter(record["dropped"]).most_common()
        reasons = ", ".join(f"{reason} {count}" for reason, count in dropped if count)
        more = "raise write.count" if record.get("made_by") else "add sources"
        raise UserError(
            f"{key} is {budget}, but the pool has only {available} seed sentences (dropped: {reasons or 'none'}); "
            f"lower {key}, {more} or loosen the filters."
        )
    if first >= available:
        raise UserError(f"--first is {first}, but the pool has only {available} seed sentences.")
    return seeds.slice(first, rows)


def _inputs(
    record: Record, recipe: Recipe, model: Manifest | None, engine: dict[str, Any], code: list[str] | None
) -> dict[str, Any]:
    """Return everything that determines the output of a block, except for its seed sentences."""
    return {
        **record.inputs(),
        "recipe": recipe.describe(),
        "model": model.files if model else None,
        "code": code,
        # a block that ran with fewer concurrent requests, because memory was full, is equally valid
        "engine": {key: value for key, value in engine.items() if key != "max_running"},
    }


def _all_blocks(
    parts: list[pa.Table], engines: list[Engine], recipe: Recipe, journal: Journal, progress: Progress
) -> tuple[pa.Table, dict[str, Any]]:
    """Return rows and statistics of all blocks: those in the journal, and the others, generated now."""
    finished = {number: found for number, part in enumerate(parts) if (found := journal.read(number, part))}
    for number in finished:
        log.info("%s: using finished block %d.", progress.name, number)
        progress.skip(parts[number].num_rows)
    waiting = [(number, part) for number, part in enumerate(parts) if number not in finished]
    shown = pace.Shown(progress, recipe, sum(part.num_rows for part in parts))
    with workers.run(waiting, engines, recipe, shown.after_step) as ended:
        for number, drafts, seconds in ended:
            _check_parsed(drafts, recipe)
            part = parts[number]
            share = seconds / len(engines)  # of the machine's time: so many blocks run side by side
            finished[number] = blocks.table(drafts, recipe, part["source"]), blocks.statistics(drafts, share)
            journal.write(number, part, *finished[number])
    tables, counts = zip(*(finished[number] for number in range(len(parts))), strict=True)
    return pa.concat_tables(tables), blocks.total(list(counts))


def _check_parsed(drafts: list[Draft], recipe: Recipe) -> None:
    """Raise a `UserError` if the parser of a step found nothing in 9 of 10 completions."""
    parsed = sum((draft.parsed for draft in drafts), Counter())
    for step in sorted({step for step, _ in parsed}):
        nothing, total = parsed[step, False], parsed[step, False] + parsed[step, True]
        if total >= ENOUGH and nothing >= 0.9 * total:
            raise UserError(
                f"{recipe.describe()['prompt']}: the parser of {step} finds nothing in {nothing} of {total} "
                "completions; use a larger language model, or other instructions and exemplars."
            )
