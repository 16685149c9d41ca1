"""Words of a text in any script, as comparisons see them. Standard library only."""

from __future__ import annotations

import unicodedata


def words(text: str) -> list[str]:
    """Case-folded runs of letters, digits, underscores, combining marks and, inside a word, apostrophes.

    What regular expressions take for word characters leaves out the marks, without which words of Hindi or Thai become
    other words.
    """
    folded = text.casefold().replace("’", "'")
    runs = "".join(character if _in_word(character) else " " for character in folded).split()
    return [word for run in runs if (word := run.strip("'"))]


def _in_word(character: str) -> bool:
    return character.isalnum() or character in "_'" or unicodedata.category(character)[0] == "M"
