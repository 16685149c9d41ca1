"""Drafts as text, with the cosines of an encoder: of rewrites to their seed sentence, of roles to their anchor."""

from collections.abc import Callable, Iterator, Sequence

from rankrefine.generate.recipes.ranking import Chain
from rankrefine.generate.recipes.recipe import COMPLETE, RUNNING, Draft
from rankrefine.generate.recipes.steps import Answers, Steps

Cosines = Callable[[Sequence[str], Sequence[str]], list[float]]  # of two texts each


def chains(drafts: Sequence[Chain], cosines: Cosines) -> str:
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


def _ending(draft: Draft) -> Iterator[str]:
    if draft.status == RUNNING:
        yield "      (stopped: time limit)"
    elif draft.status != COMPLETE:
        yield f"      (given up: {draft.status})"
