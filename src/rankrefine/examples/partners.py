"""Random partners of sentences, by consistent hashing (Karger et al. 1997)."""

from bisect import bisect
from collections.abc import Sequence

from rankrefine.text.normal_form import text_hash
from rankrefine.text.rewrite_rules import same


def partners(texts: Sequence[str], count: int, random_seed: int) -> dict[str, list[str]]:
    """Return for each distinct text, in order, `count` random other ones, or all others if there are fewer.

    Texts lie on a ring, at their hashes. A draw is the hash of a text and the number of the draw, and takes the next
    text on the ring that differs in more than case and marks from it and from those before. So draws do not depend on
    the order of the texts, and a further text changes only the few draws that now find it.
    """
    distinct = list(dict.fromkeys(texts))
    # not the hash of the text alone: the pool has the sentences for which that is least, so they would lie together
    ring = sorted((text_hash(f"ring\0{text}", random_seed), text) for text in distinct)
    forms = {text: same(text) for text in distinct}
    return {text: _drawn(text, ring, forms, count, random_seed) for text in distinct}


def _drawn(text: str, ring: list[tuple[bytes, str]], forms: dict[str, str], count: int, random_seed: int) -> list[str]:
    drawn: list[str] = []
    taken = {forms[text]}
    for number in range(count):
        place = bisect(ring, (text_hash(f"{number}\0{text}", random_seed), ""))
        others = (ring[(place + step) % len(ring)][1] for step in range(len(ring)))
        other = next((other for other in others if forms[other] not in taken), None)
        if other is None:
            break
        drawn.append(other)
        taken.add(forms[other])
    return drawn
