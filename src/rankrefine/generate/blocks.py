"""Blocks: fixed groups of seeds that run together, with a schedule that depends on nothing else.

In low precision rounding depends on what else is in a batch. A block starts with an empty engine, so that it gives the
same bytes whether or not the job was interrupted before it, and whatever came before it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from rankrefine.errors import UserError
from rankrefine.generate.recipes.ranking import Chain, Plan
from rankrefine.generate.recipes.ranking import run as run_chains
from rankrefine.llm.interface import Engine, OutOfMemory
from rankrefine.ranking_lists.schema import SHARD

log = logging.getLogger(__name__)


def start(seeds: pa.Table) -> list[Chain]:
    """A new chain for each seed sentence."""
    pairs = zip(seeds["seed_id"].to_pylist(), seeds["text"].to_pylist(), strict=True)
    return [Chain(row, seed_id, [text]) for row, (seed_id, text) in enumerate(pairs)]


def run(seeds: pa.Table, engine: Engine, plan: Plan, done: Callable[[list[Chain], int], None]) -> list[Chain]:
    """Run the chains of all `seeds` (columns seed_id, text) to their ends.

    When memory runs out, the block starts again with half the seats. The next one has all of them again: a block must
    not depend on those before it.

    Args:
        done: called after each chain that ends, with all chains and how many have ended.

    Raises:
        UserError: there is not enough memory for one chain.
    """
    seats = engine.seats
    while True:
        engine.reset()
        chains = start(seeds)
        try:
            for ended, _ in enumerate(run_chains(chains, engine, plan), start=1):
                done(chains, ended)
            engine.seats = seats
            return chains
        except OutOfMemory as error:
            if engine.seats == 1:
                raise UserError(
                    f"There is not enough memory for one pair of prompts ({error}); use a smaller model, a shorter "
                    "prompt or generate.max_new_tokens, or a machine with more memory."
                ) from error
            half = engine.seats // 2
            log.warning("%s: going on with %d chains at a time instead of %d.", error, half, engine.seats)
        engine.reset(half)  # outside of the handler, whose traceback still holds what was allocated


def table(chains: list[Chain], sources: pa.ChunkedArray) -> pa.Table:
    """Ended chains as rows of a shard."""
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


def statistics(chains: list[Chain], started: float) -> dict[str, Any]:
    """Counts over the chains, and the seconds since `started` (`time.monotonic`)."""
    return {
        "tokens": sum(chain.tokens for chain in chains),
        "rewrites": sum(len(chain.sentences) - 1 for chain in chains),
        "redraws": sum(chain.redraws for chain in chains),
        "refused": dict(sum((chain.refused for chain in chains), Counter())),
        "stops": dict(sum((chain.stops for chain in chains), Counter())),
        "near_ties": sum(chain.near_ties for chain in chains),
        "redone": sum(chain.redone for chain in chains),
        "generating_seconds": round(time.monotonic() - started, 2),
    }


def total(statistics: list[dict[str, Any]]) -> dict[str, Any]:
    """The statistics of several blocks as one: numbers are added, counts by reason are added reason by reason."""
    first, *others = statistics
    summed: dict[str, Any] = dict(first)
    for other in others:
        for key, value in other.items():
            if isinstance(value, dict):
                summed[key] = dict(Counter(summed[key]) + Counter(value))
            else:
                summed[key] += value
    return summed
