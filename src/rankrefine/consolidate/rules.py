"""Quality rules of a whole ranking list."""

from __future__ import annotations

from collections.abc import Sequence

from rankrefine.quality import problem


def list_problem(sentences: Sequence[str], collapse_repeats: int, min_words: int, max_words: int) -> str | None:
    """Why a ranking list must be dropped, or None.

    The paper's rules come first: a newline in any rewrite; a last or last but one sentence that occurs
    `collapse_repeats` times or more (collapse). Then each rewrite is held against what precedes it (`problem`) and
    against the word limits.
    """
    rewrites = sentences[1:]
    if not rewrites:
        return "no rewrite"
    if any("\n" in rewrite for rewrite in rewrites):
        return "newline"
    if any(sentences.count(sentence) >= collapse_repeats for sentence in sentences[-2:]):
        return "collapse"
    for place, rewrite in enumerate(rewrites, start=1):
        if found := problem(rewrite, sentences[:place]):
            return found
        words = len(rewrite.split())
        if words < min_words:
            return "too short"
        if words > max_words:
            return "too long"
    return None
