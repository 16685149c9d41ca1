"""Words of a text in any script, runs of words, and the overlap of two sets. Standard library only.

Chinese, Japanese, Thai, Lao, Khmer and Burmese have no spaces between words. In their scripts each letter is a token
of its own and counts as a part of a word, so that lengths and runs are measured in words for every language.
"""

import re
import unicodedata
from bisect import bisect_left
from functools import cache
from itertools import accumulate

WORD = 6  # size of a word
# Sizes of a letter, for 1.5, 2 and 3 letters in a word. Weighted by frequency, words have 1.7 letters in the Chinese
# dictionary of jieba and 3.0 to 3.2 in the two Thai word lists of PyThaiNLP; the others are estimates.
CHINESE_JAPANESE, KHMER_BURMESE, THAI_LAO = 4, 3, 2
# blocks of the scripts (Unicode's Blocks.txt), by the size of a letter
BLOCKS = {
    CHINESE_JAPANESE: "\u3005-\u3007\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U0001aff0-\U0001b16f\U00020000-\U0003ffff",
    KHMER_BURMESE: "\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f",
    THAI_LAO: "\u0e00-\u0eff",
}
# a letter (marks, digits and punctuation are none) with the marks after it
_LETTER = re.compile(rf"[{''.join(BLOCKS.values())}](?<![\W\d])[^\w\s]*")


def words(text: str) -> list[str]:
    """Return the case-folded runs of letters, digits, underscores, combining marks and inner apostrophes.

    Combining marks belong to a word, although regular expressions do not count them as word characters: without them
    words of Hindi or Thai become other words. Letters of `BLOCKS`, with their marks, are words of their own.
    """
    folded = _LETTER.sub(r" \g<0> ", text.casefold().replace("’", "'"))
    parts = (c if c.isalnum() or c in "_'" or unicodedata.category(c)[0] == "M" else " " for c in folded)
    return [word for run in "".join(parts).split() if (word := run.strip("'"))]


def size(token: str) -> int:
    """Return the size of one of the `words`, in sixths of a word: `WORD`, or less for a letter of `BLOCKS`."""
    return _size(token[0])


@cache
def _size(character: str) -> int:
    is_letter = _LETTER.match(character)
    return next((size for size, block in BLOCKS.items() if is_letter and re.match(f"[{block}]", character)), WORD)


def length(text: str) -> float:
    """Return the number of parts between spaces; one with letters of `BLOCKS` counts as the sizes of its `words`."""
    return sum(sum(map(size, words(part))) if _LETTER.search(part) else WORD for part in text.split()) / WORD


def ngrams(tokens: list[str], n: int) -> set[str]:
    """Return the shortest runs of `words` with a size of at least `n` words; an empty set if the text is shorter.

    These are the n-grams of words, and in scripts without spaces those of as many letters as `n` words have: by runs
    of `n` letters, unrelated sentences in Thai, which has an alphabet, would be similar.
    """
    places = list(accumulate(map(size, tokens), initial=0))
    ends = (bisect_left(places, place + n * WORD) for place in places)
    return {" ".join(tokens[start:end]) for start, end in enumerate(ends) if end < len(places)}


def jaccard(a: set[str], b: set[str]) -> float:
    """Jaccard similarity: shared items divided by all items, 0 to 1; 0 for two empty sets."""
    return len(a & b) / max(len(a | b), 1)
