"""Several blocks at the same time, each with an engine and a thread of its own."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event

import pyarrow as pa

from rankrefine.generate import blocks
from rankrefine.generate.recipes.recipe import Draft, Recipe
from rankrefine.llm.interface import Engine

Ended = tuple[int, list[Draft], float]  # number of the block, its drafts, and its seconds
AfterStep = Callable[[list[Draft], int, float], None]


@contextmanager
def run(
    waiting: Sequence[tuple[int, pa.Table]],
    engines: Sequence[Engine],
    recipe: Recipe,
    after_step: Callable[[int], AfterStep],
) -> Iterator[Iterator[Ended]]:
    """Run numbered blocks, as many at the same time as there are engines; iterate over those that have ended.

    Errors are those of `blocks.run`. At an error, or if the caller leaves the context, the other blocks stop after
    their next step.

    Args:
        after_step: returns the callback of a block, which is called in the block's thread.
    """
    if len(engines) == 1:  # in this thread, which some engines require
        yield ((number, *blocks.run(block, engines[0], recipe, after_step(number))) for number, block in waiting)
        return
    idle: SimpleQueue[Engine] = SimpleQueue()
    for engine in engines:
        idle.put(engine)
    stopped = Event()

    def one(number: int, block: pa.Table) -> Ended:
        shown, engine = after_step(number), idle.get()

        def step(drafts: list[Draft], ended: int, seconds: float) -> bool:
            shown(drafts, ended, seconds)
            return stopped.is_set()

        try:
            return number, *blocks.run(block, engine, recipe, step)
        finally:
            idle.put(engine)

    with ThreadPoolExecutor(len(engines)) as pool:
        futures = [pool.submit(one, *numbered) for numbered in waiting]
        try:
            yield (future.result() for future in as_completed(futures))
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)
