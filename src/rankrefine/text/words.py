"""Words of a text in any script, and the overlap of two sets of them. Standard library only."""

import unicodedata


def words(text: str) -> list[str]:
    """Return the case-folded runs of letters, digits, underscores, combining marks and inner apostrophes.

    Combining marks belong to a word, although regular expressions do not count them as word characters: without them
    words of Hindi or Thai become other words.
    """
    folded = text.casefold().replace("’", "'")
    parts = (c if c.isalnum() or c in "_'" or unicodedata.category(c)[0] == "M" else " " for c in folded)
    return [word for run in "".join(parts).split() if (word := run.strip("'"))]


def jaccard(a: set[str], b: set[str]) -> float:
    """Jaccard similarity: shared items divided by all items, 0 to 1; 0 for two empty sets."""
    return len(a & b) / max(len(a | b), 1)
