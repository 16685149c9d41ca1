"""Quality rules of a whole ranking list."""

from __future__ import annotations

from collections.abc import Sequence

from rankrefine.text.rewrite_rules import Limits, problem, same


def list_problem(sentences: Sequence[str], collapse_repeats: int, limits: Limits) -> str | None:
    """Why a ranking list must be dropped, or None.

    The paper's rules come first: a newline in any rewrite; a last or last but one sentence that occurs
    `collapse_repeats` times or more (collapse). Then each rewrite is held against what precedes it (`problem`).
    """
    rewrites = sentences[1:]
    if not rewrites:
        return "no rewrite"
    if any("\n" in rewrite for rewrite in rewrites):
        return "newline"
    if any(sentences.count(sentence) >= collapse_repeats for sentence in sentences[-2:]):
        return "collapse"
    # in most lists nothing is repeated; there, a rewrite is not held against all that precede it, which takes the time
    # of the square of the list's length
    is_apart = limits.max_overlap >= 1 and len({same(sentence) for sentence in sentences}) == len(sentences)
    chains = (() if is_apart else sentences[:place] for place in range(1, len(sentences)))
    problems = (problem(rewrite, chain, limits) for rewrite, chain in zip(rewrites, chains, strict=True))
    return next(filter(None, problems), None)
