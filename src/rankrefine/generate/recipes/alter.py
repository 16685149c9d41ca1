"""Changes of a sentence that need no language model: masked words, other names and numbers."""

import math
import re
from collections.abc import Sequence
from random import Random

MASK = "____"
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_PART = r"(?!I['’]|(?:Mr|Mrs|Ms|Dr|St)\.)[A-Z][\w'’-]+"  # neither the pronoun nor a title
NAME = re.compile(rf"\b{_PART}(?: {_PART})*")
YEAR = re.compile(r"(1[5-9]|20)\d\d")
GROUPS = (  # a word is replaced by another one of its group
    "two three four five six seven eight nine ten eleven twelve",
    "twenty thirty forty fifty sixty seventy eighty ninety",
    "hundred thousand million billion",
    "first second third fourth fifth",
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "January February March April May June July August September October November December",
)
GROUP = {word: group.split() for group in GROUPS for word in group.split()}
WORD = re.compile(rf"\b(?:{'|'.join(GROUP)})\b")


def mask(sentence: str, rate: float, draw: Random) -> str:
    """Replace a share of the words, rounded up, by `MASK`; neighbouring masks become one with probability 0.5.

    Source: Cheng et al. 2023, "Improving contrastive learning of sentence embeddings from AI feedback" (CLAIF).
    """
    words = sentence.split()
    masked = set(draw.sample(range(len(words)), math.ceil(round(rate * len(words), 6))))
    kept: list[str] = []
    for place, word in enumerate(words):
        if place not in masked:
            kept.append(word)
        elif place - 1 not in masked or draw.random() >= 0.5:
            kept.append(MASK)
    return " ".join(kept)


def replace_names(sentence: str, names: Sequence[str], draw: Random) -> str | None:
    """Replace each name and number by another one; None if the sentence has none.

    A name is a run of capitalised words, except for the first word of the sentence. Equal names are replaced alike.
    """
    others: dict[str, str] = {}

    def other(match: re.Match[str]) -> str:
        text = match[0]
        if text not in others:
            others[text] = _other(text, names, draw)
        return others[text]

    head, first, rest = re.fullmatch(r"(\W*)(\w*)(.*)", sentence, re.DOTALL).groups()
    changed = re.sub("|".join((WORD.pattern, NUMBER.pattern, NAME.pattern)), other, rest)
    first = NUMBER.sub(other, first)
    result = head + first + changed
    return None if result == sentence else result


def _other(text: str, names: Sequence[str], draw: Random) -> str:
    if text in GROUP:
        return draw.choice([word for word in GROUP[text] if word != text])
    if YEAR.fullmatch(text):
        return text[:2] + draw.choice([f"{year:02}" for year in range(100) if f"{year:02}" != text[2:]])
    if NUMBER.fullmatch(text):
        return draw.choice([digit for digit in "123456789" if digit != text[0]]) + text[1:]
    return draw.choice([name for name in names if name != text])
