"""Sentence lengths: truncate sentences, and group those of similar length into forward passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

# Fixed cost of a forward pass, in tokens: about 110 measured with MiniLM on two cores; on GPUs, where kernel launches
# dominate, an estimate.
PASS_CPU, PASS_GPU = 110, 4096
POSITIONS = ("position_embeddings", "position_embedding", "embed_positions", "wpe")  # names of tables in transformers


def positions(transformer: nn.Module) -> int | None:
    """Return the longest input in tokens for which a transformer has embeddings of absolute positions; None without.

    RoBERTa and its relatives number positions from `padding_idx` + 1, and so never use the first rows of the table.
    """
    from torch import nn

    declared = getattr(transformer.config.get_text_config(), "max_position_embeddings", None)
    if not declared or declared < 0:
        return None
    tables = [
        module
        for name, module in transformer.named_modules()
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in POSITIONS
    ]
    first = [0 if table.padding_idx is None else table.padding_idx + 1 for table in tables]
    # a smaller table is that of another part, such as the patches of an image
    limits = [
        table.num_embeddings - n for table, n in zip(tables, first, strict=True) if table.num_embeddings >= declared
    ]
    return min([declared, *limits]) if limits else None


def cut(model: SentenceTransformer, max_length: int) -> dict[str, Any]:
    """Return `processing_kwargs` that truncate sentences to `max_length` tokens; the model's own limit is kept."""
    return {"text": {"max_length": min(max_length, model.max_seq_length or max_length)}}


def preprocessor(model: SentenceTransformer, max_length: int) -> Callable[[list[str]], dict[str, Any]]:
    """Return a function that prepends the default prompt, as `encode` does, and tokenises to at most `max_length`."""
    limit = cut(model, max_length)
    prompt = model.prompts.get(model.default_prompt_name) if model.default_prompt_name else None
    return lambda sentences: model.preprocess(sentences, prompt=prompt, processing_kwargs=limit)


def groups(lengths: list[int], cost: int) -> list[list[int]]:
    """Split sentences into passes of least total cost, padding included; `lengths` and `cost` are in tokens.

    Minimises the sum over passes of (sentences x longest + `cost`) by dynamic programming over the distinct lengths.
    Returns groups of indices into `lengths`, sorted by length between and within groups.
    """
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    # a group ends after the last sentence of a length
    ends = [n for n in range(1, len(order) + 1) if n == len(order) or lengths[order[n]] > lengths[order[n - 1]]]
    best, start = {0: 0}, {}  # for the first n sentences: least cost, and the start of their last group
    for end in ends:
        longest = lengths[order[end - 1]]
        best[end], start[end] = min((best[begin] + (end - begin) * longest + cost, begin) for begin in best)
    passes, end = [], len(order)
    while end:
        passes.append(order[start[end] : end])
        end = start[end]
    return passes[::-1]
