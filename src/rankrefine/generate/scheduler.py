"""Continuous batching: as soon as a draft ends, a waiting one takes its place in the engine."""

from collections.abc import Iterable, Iterator
from itertools import islice

from rankrefine.errors import UserError
from rankrefine.generate.recipes.recipe import RUNNING, Draft, Recipe
from rankrefine.llm.interface import Engine


def run(drafts: Iterable[Draft], engine: Engine, recipe: Recipe) -> Iterator[int]:
    """Complete the drafts, `engine.max_running` at the same time; yield the number of ended drafts after each step.

    Raises:
        UserError: the engine refuses a request before anything was accepted for its seed sentence.
        OutOfMemory: the engine's memory is full.
    """
    waiting = iter(drafts)
    running = {draft.row: draft for draft in islice(waiting, engine.max_running)}
    for draft in running.values():
        engine.add(recipe.request(draft))
    ended = 0
    while running:
        completions = engine.step()
        for draft in running.values():
            draft.steps += 1
        for completion in completions:
            draft = running[completion.id]
            draft.count(completion)
            recipe.take(draft, completion)
            if draft.status == RUNNING:
                _continue(draft, engine, recipe)
            if draft.status != RUNNING:
                ended += 1
                del running[draft.row]
                if (draft := next(waiting, None)) is not None:
                    running[draft.row] = draft
                    engine.add(recipe.request(draft))
        yield ended


def _continue(draft: Draft, engine: Engine, recipe: Recipe) -> None:
    """Add the draft's next request; give the draft up if the engine refuses a prompt that the model itself wrote."""
    try:
        engine.add(recipe.request(draft))
    except UserError:
        if not draft.accepted:  # the user must remove this seed sentence
            raise
        draft.reject("prompt", redraws=0)
