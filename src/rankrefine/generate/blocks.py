"""Blocks: fixed groups of seed sentences that run together, with a schedule that depends on nothing else.

In low precision rounding depends on the other rows of a batch. A block starts with an empty engine, so it gives the
same bytes after an interruption, and after any other block.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from rankrefine.errors import UserError
from rankrefine.generate import scheduler
from rankrefine.generate.recipes.recipe import Draft, Recipe, schema
from rankrefine.llm.interface import Engine, OutOfMemory

log = logging.getLogger(__name__)


def run(
    seeds: pa.Table, engine: Engine, recipe: Recipe, after_step: Callable[[list[Draft], int, float], bool | None]
) -> tuple[list[Draft], float]:
    """Run the drafts of all `seeds` (columns seed_id, text) to their ends.

    When memory runs out, start again with half as many at the same time. The next block starts with all of them again,
    because a block must not depend on those before it.

    Args:
        after_step: called after each step with all drafts, the number of ended ones, and the seconds since the start;
            True stops the block.

    Returns:
        All drafts, and the seconds since the (last) start.

    Raises:
        UserError: memory is too small for one request.
    """
    max_running = engine.max_running
    while True:
        engine.reset()
        started = time.monotonic()
        pairs = zip(seeds["seed_id"].to_pylist(), seeds["text"].to_pylist(), strict=True)
        drafts = [recipe.start(row, seed_id, text) for row, (seed_id, text) in enumerate(pairs)]
        try:
            for ended in scheduler.run(drafts, engine, recipe):
                if after_step(drafts, ended, time.monotonic() - started):
                    break
            engine.max_running = max_running
            return drafts, time.monotonic() - started
        except OutOfMemory as error:
            if engine.max_running == 1:
                raise UserError(
                    f"Out of memory with a single request ({error}); use a smaller model, a shorter prompt, a smaller "
                    "generate.max_new_tokens, or a machine with more memory."
                ) from error
            half = engine.max_running // 2
            log.warning("Out of memory (%s): restarting with %d of %d requests.", error, half, engine.max_running)
        engine.reset(half)  # outside of the handler, whose traceback still holds what was allocated


def table(drafts: list[Draft], recipe: Recipe, sources: pa.ChunkedArray) -> pa.Table:
    """Ended drafts as rows of a shard."""
    finished = [recipe.finished(draft) for draft in drafts]
    columns = {
        "seed_id": [draft.seed_id for draft in drafts],
        "source": sources.combine_chunks(),
        **{column.name: [row[column.name] for row in finished] for column in recipe.columns},
        "status": [draft.status for draft in drafts],
        "redraws": [draft.redraws for draft in drafts],
        "tokens": [draft.tokens for draft in drafts],
    }
    return pa.table(columns, schema=schema(recipe.columns))


def statistics(drafts: list[Draft], seconds: float) -> dict[str, Any]:
    """Sums over the drafts of a block that took `seconds`."""
    sums = ("tokens", "accepted", "redraws", "near_ties", "redone")
    return {
        **{name: sum(getattr(draft, name) for draft in drafts) for name in sums},
        "rejected": dict(sum((draft.rejected for draft in drafts), Counter())),
        "stops": dict(sum((draft.stops for draft in drafts), Counter())),
        "generating_seconds": round(seconds, 6),
    }


def total(statistics: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum the statistics of several blocks; those by reason for each reason."""
    summed = dict(statistics[0])
    for block in statistics[1:]:
        for key, value in block.items():
            if isinstance(value, dict):
                summed[key] = dict(Counter(summed[key]) + Counter(value))
            else:
                summed[key] += value
    return summed
