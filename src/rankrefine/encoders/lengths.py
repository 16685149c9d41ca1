"""Sentence lengths in training: sentences are cut, and those of like length go through the encoder together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# A further pass costs as much time as this many tokens: about 110 measured with MiniLM on two cores; on GPUs, where a
# pass is mostly launching kernels, an estimate.
PASS_CPU, PASS_GPU = 110, 4096


def cut(model: SentenceTransformer, max_length: int) -> dict[str, Any]:
    """`processing_kwargs` for the model's `preprocess` and `encode`: at most `max_length` tokens.

    The limit that the model is saved with stays as it is.
    """
    return {"text": {"max_length": min(max_length, model.max_seq_length or max_length)}}


def groups(lengths: list[int], cost: int) -> list[list[int]]:
    """Share out sentences over passes so that padding and passes together cost least.

    Args:
        lengths: Tokens of each sentence.
        cost: Of a pass, in tokens.

    Returns:
        Places in `lengths`, each once: groups by rising length, inside a group too. Minimal is the sum over groups of
        (sentences x longest + `cost`), found by dynamic programming over the distinct lengths.
    """
    order = sorted(range(len(lengths)), key=lambda place: (lengths[place], place))
    # where a group may end: after the last sentence of a length
    ends = [n for n in range(1, len(order) + 1) if n == len(order) or lengths[order[n]] > lengths[order[n - 1]]]
    best, before = {0: 0}, {}  # of the first n sentences: cost, and where their last group begins
    for end in ends:
        longest = lengths[order[end - 1]]
        best[end], before[end] = min((best[begin] + (end - begin) * longest + cost, begin) for begin in best)
    found, end = [], len(order)
    while end:
        found.append(order[before[end] : end])
        end = before[end]
    return found[::-1]
