"""Drafts as text, with the cosines of an encoder: of rewrites to their seed sentence, of roles to their anchor.

`KINDS` names what can be shown.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rankrefine.generate.recipes import genres, ranking, steps
from rankrefine.generate.recipes.genres import Answer, Genres
from rankrefine.generate.recipes.ranking import Chain, Ranking
from rankrefine.generate.recipes.recipe import COMPLETE, RUNNING, Draft, Recipe
from rankrefine.generate.recipes.steps import Answers, Steps

Cosines = Callable[[Sequence[str], Sequence[str]], list[float]]  # of two texts each


@dataclass(frozen=True)
class Kind:
    """A kind of output of the language model: how it is generated and shown."""

    section: str  # of the key `count`
    load: Callable[[dict[str, Any]], Recipe]
    show: Callable[[Sequence[Any], Any, Cosines], str]


def chains(drafts: Sequence[Chain], recipe: Ranking, cosines: Cosines) -> str:
    """Format chains: the seed sentence, and each rewrite after its cosine to it."""
    lines = []
    for chain in drafts:
        first, *rewrites = chain.sentences
        lines += ["", f"      {first}"]
        scored = zip(cosines([first] * len(rewrites), rewrites), rewrites, strict=True)
        lines += [f"{cosine:5.2f} {sentence}" for cosine, sentence in scored]
        lines += _ending(chain)
    return "\n".join(lines) + "\n"


def examples(drafts: Sequence[Answers], recipe: Steps, cosines: Cosines) -> str:
    """Format training examples: the anchor, and its positive and negative after their cosines to it."""
    lines = []
    for draft in drafts:
        previous = None
        for roles in recipe.examples:
            texts = {role: recipe.finished(draft)[step] for role, step in roles.items()}
            if None in texts.values():
                continue
            anchor = texts.pop("anchor")
            if anchor != previous:
                lines += ["", f"               {anchor}"]
            scores = cosines([anchor] * len(texts), list(texts.values()))
            lines += [f"{role} {score:5.2f} {text}" for (role, text), score in zip(texts.items(), scores, strict=True)]
            previous = anchor
        if previous is None:
            lines += ["", f"               {draft.text}"]
        lines += [f"         {line}" for line in _ending(draft)]
    return "\n".join(lines) + "\n"


def sentences(drafts: Sequence[Answer], recipe: Genres, cosines: Cosines) -> str:
    """Format written seed sentences: genre and topics, and what was written."""
    lines = []
    for draft in drafts:
        lines += ["", f"      {recipe.genre(draft.seed_id)}: {draft.text}", *draft.sentences, *_ending(draft)]
    return "\n".join(lines) + "\n"


def _ending(draft: Draft) -> Iterator[str]:
    if draft.status == RUNNING:
        yield "      (stopped: time limit)"
    elif draft.status != COMPLETE:
        yield f"      (given up: {draft.status})"


KINDS = {
    "lists": Kind("seeds", ranking.load, chains),
    "examples": Kind("examples", steps.load, examples),
    "sentences": Kind("write", genres.load, sentences),
}
