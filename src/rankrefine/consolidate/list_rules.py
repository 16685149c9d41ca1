"""Quality rules for a whole ranking list."""

from collections.abc import Sequence

from rankrefine.text.rewrite_rules import Limits, problem, same


def list_problem(sentences: Sequence[str], collapse_repeats: int, limits: Limits) -> str | None:
    """Return the reason to drop a ranking list, or None.

    The paper's rules come first: a newline in any rewrite; or collapse, that is, one of the last two sentences occurs
    at least `collapse_repeats` times. Then each rewrite is compared with the sentences before it (`problem`).
    """
    rewrites = sentences[1:]
    if not rewrites:
        return "no rewrite"
    if any("\n" in rewrite for rewrite in rewrites):
        return "newline"
    if any(sentences.count(sentence) >= collapse_repeats for sentence in sentences[-2:]):
        return "collapse"
    # comparing each rewrite with all before it takes quadratic time, and most lists repeat nothing
    is_distinct = limits.max_overlap >= 1 and len({same(sentence) for sentence in sentences}) == len(sentences)
    chains = (() if is_distinct else sentences[:place] for place in range(1, len(sentences)))
    problems = (problem(rewrite, chain, limits) for rewrite, chain in zip(rewrites, chains, strict=True))
    return next(filter(None, problems), None)
