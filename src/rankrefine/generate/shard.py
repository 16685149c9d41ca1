"""Stage 2, `python -m rankrefine generate`: guided ranking lists for one shard of the seed pool.

The shard is the unit of work: it is written once, when all its chains have ended. Draws depend on the run's seed and
the seed sentence alone, and the schedule on the shard alone, so a shard that is started again gives the same bytes on
the same machine.
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
from rankrefine.assets.manifest import load_manifest
from rankrefine.errors import UserError
from rankrefine.generate import prompts
from rankrefine.generate.chains import Chain, Plan
from rankrefine.generate.chains import run as run_chains
from rankrefine.generate.engines.base import Sampling
from rankrefine.generate.schema import SHARD
from rankrefine.provenance import Record

log = logging.getLogger(__name__)


def run(
    config: dict[str, Any],
    pool: Path,
    pool_stats: Path,
    first: int,
    rows: int,
    budget: int,
    llm: Path | None,
    threads: int | None,
    output: Path,
    stats: Path,
) -> None:
    """Generate the ranking lists of the pool's rows `first` … `first + rows - 1`.

    Args:
        budget: seed sentences that the whole run needs; refused at once when the pool holds fewer.
        llm: manifest of the language model; None with the fake engine.

    Raises:
        UserError: the pool is too small, or the model or the prompt cannot be used.
    """
    settings = config["generate"]
    record = Record("generate", {key: config[key] for key in ("seed", "generate")}, "torch", "transformers", "pyarrow")
    seeds = io.read_table(pool)
    _check_budget(seeds.num_rows, budget, pool_stats)
    seeds = seeds.slice(first, rows)  # a shard that was larger once asks for as many again, if the pool still has them
    prompt = prompts.load(settings["prompt"])
    sampling = Sampling(**{key: settings[key] for key in Sampling.__dataclass_fields__})
    model = load_manifest(llm) if llm is not None else None
    engine = import_module(f"rankrefine.generate.engines.{settings['engine']}").load(
        folder=model.path if model else None,
        sampling=sampling,
        seats=min(settings["batch_size"], seeds.num_rows),
        dtype=settings["dtype"],
        threads=threads,
        probes=[prompt.fill(text) for text in ("A", "The dog", "7", '"No', "'Tis", "(see", "élan")],
    )
    plan = Plan(prompt, settings["rounds"], settings["redraws"], config["seed"])
    chains = [
        Chain(row, seed_id, [text])
        for row, (seed_id, text) in enumerate(
            zip(seeds["seed_id"].to_pylist(), seeds["text"].to_pylist(), strict=True)
        )
    ]
    started = time.monotonic()
    with tqdm(total=len(chains), desc=f"generate {output.stem}", unit="list", disable=None) as bar:
        for _ in run_chains(chains, engine, plan, greedy=sampling.temperature == 0):
            bar.update()
            bar.set_postfix_str(f"{_rate(chains, started):.0f} tokens/s")
    io.write_table(output, _table(chains, seeds["source"]))
    dropped = Counter(chain.status for chain in chains if chain.status != "complete")
    refused = sum((Counter(chain.refused) for chain in chains), Counter())
    io.write_json(
        stats,
        record.finish(
            first=first,
            rows=rows,
            read=len(chains),
            kept=len(chains) - dropped.total(),
            dropped=dict(sorted(dropped.items())),
            refused=dict(sorted(refused.items())),
            redraws=sum(chain.redraws for chain in chains),
            tokens=sum(chain.tokens for chain in chains),
            tokens_per_second=round(_rate(chains, started), 1),
            model=model.source if model else settings["engine"],
            revision=model.revision if model else None,
            prompt=prompt.name,
            prompt_sha256=prompt.sha256,
            prompt_text="\n".join(f"{message['role']}: {message['content']}" for message in prompt.messages),
            sampling={**sampling.__dict__, "rounds": plan.rounds, "redraws": plan.redraws},
            **engine.describe(),
        ),
    )
    log.info(
        "generate %s: %d lists, %d given up, %.0f tokens/s",
        output.stem,
        len(chains) - dropped.total(),
        dropped.total(),
        _rate(chains, started),
    )


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


def _rate(chains: list[Chain], started: float) -> float:
    return sum(chain.tokens for chain in chains) / max(time.monotonic() - started, 1e-9)


def _table(chains: list[Chain], sources: pa.ChunkedArray) -> pa.Table:
    return pa.table(
        {
            "seed_id": [chain.seed_id for chain in chains],
            "source": sources.combine_chunks(),
            "sentences": [chain.sentences for chain in chains],
            "status": [chain.status for chain in chains],
            "redraws": [chain.redraws for chain in chains],
            "tokens": [chain.tokens for chain in chains],
        },
        schema=SHARD,
    )
