"""Finished part of the work on drafts, and its speed."""

import time
from collections.abc import Callable, Sequence
from threading import Lock

from rankrefine.generate.recipes.recipe import RUNNING, Draft, Recipe
from rankrefine.progress import Progress

MOST = 0.9  # of a request that is longer than usual


def share(drafts: Sequence[Draft], recipe: Recipe) -> float:
    """Return the finished part of the work, 0 to 1; a draft that was given up has no work left.

    Drafts run side by side and most of them end late. So requests are counted: those that were accepted, and of those
    that run the tokens so far, in proportion to the usual number.
    """
    completions = sum(draft.stops.total() for draft in drafts)
    usual = sum(draft.tokens for draft in drafts) / max(completions, 1)

    def of(draft: Draft) -> float:
        running = min(draft.steps / usual, MOST) if usual else 0.0
        return min((draft.accepted + running) / recipe.requests, 1.0) if draft.status == RUNNING else 1.0

    return sum(map(of, drafts)) / len(drafts)


def speed(drafts: Sequence[Draft], seconds: float) -> float:
    """Return the tokens per second, with those of requests that are still running."""
    return sum(draft.tokens + draft.steps for draft in drafts) / max(seconds, 1e-9)


class Shown:
    """Shows the progress of blocks that may run at the same time, in threads of their own.

    Args:
        progress: counts drafts; it has skipped those of finished blocks.
        rows: drafts of all blocks.
    """

    def __init__(self, progress: Progress, recipe: Recipe, rows: int) -> None:
        self._progress, self._recipe, self._rows, self._skipped = progress, recipe, rows, progress.done
        self._began, self._lock = time.monotonic(), Lock()
        self._blocks: dict[int, tuple[int, float, int]] = {}  # ended drafts, finished work in drafts, tokens

    def after_step(self, number: int) -> Callable[[list[Draft], int, float], None]:
        """Return the callback of a block for `blocks.run`."""

        def show(drafts: list[Draft], ended: int, seconds: float) -> None:
            tokens = sum(draft.tokens + draft.steps for draft in drafts)
            now = ended, share(drafts, self._recipe) * len(drafts), tokens
            with self._lock:
                self._blocks[number] = now
                ended_all, work, tokens = map(sum, zip(*self._blocks.values(), strict=True))
                done = (self._skipped + work) / self._rows
                speed = tokens / max(time.monotonic() - self._began, 1e-9)
                note = f"{done:.0%} of the work, {speed:.0f} tokens/s"
                self._progress.to(self._skipped + ended_all, note, done)

        return show
