"""Finished part of the work on drafts, and its speed."""

from collections.abc import Sequence

from rankrefine.generate.recipes.recipe import RUNNING, Draft, Recipe

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
