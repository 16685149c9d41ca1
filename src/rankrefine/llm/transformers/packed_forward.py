"""One packed forward pass over rows that begin, or continue, a prompt; see `shared_prefix`."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from rankrefine.llm.transformers import free_memory
from rankrefine.llm.transformers.lm_head import Head
from rankrefine.llm.transformers.prompt_encoder import Encoded
from rankrefine.llm.transformers.shared_prefix import Cache, Packed

ROOM = 16  # the capacity of the cache grows in multiples of this many tokens


@dataclass
class Row:
    """One prompt that is being continued."""

    slot: int  # of the cache
    prompt: Encoded
    length: int  # tokens after the prefix whose keys are stored
    feed: tuple[int, ...]  # tokens for the next step


def forward(
    model: PreTrainedModel, rows: Sequence[Row], cache: Cache, head: Head | None = None, full: int | None = None
) -> torch.Tensor:
    """Feed each row its tokens; return the logits after the last one of each, [rows, vocabulary].

    With the model's `head`, only those of the first `full` rows; `head.of` computes the others.
    """
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].feed) > 1)  # stable: decoding rows first
    ordered = [rows[i] for i in order]
    device = model.device
    tokens = torch.tensor([token for row in ordered for token in row.feed], device=device)
    lengths = torch.tensor([len(row.feed) for row in ordered])
    starts = torch.tensor([row.length for row in ordered])
    last = lengths.cumsum(0) - 1
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    offsets = torch.arange(len(tokens)) - (last + 1 - lengths).repeat_interleave(lengths)
    positions = starts.repeat_interleave(lengths) + offsets  # after the prefix
    prefixes = torch.tensor([row.prompt.prefix for row in ordered]).repeat_interleave(lengths)
    _reserve(cache, int((starts + lengths).max()))
    slots = torch.tensor([row.slot for row in ordered]).repeat_interleave(lengths).to(device)
    decoding = sum(len(row.feed) == 1 for row in ordered)
    prompts, prompt_lengths = _pad_prompts(lengths[decoding:], decoding)
    packed = Packed(
        cache, slots, positions.to(device), prefixes, decoding, prompts.to(device), prompt_lengths.to(device)
    )
    if head is not None:
        head.spare(full)
    logits = model(
        input_ids=tokens[None],
        position_ids=(positions + torch.tensor(cache.prefix_lengths)[prefixes]).to(device)[None],
        use_cache=False,
        logits_to_keep=last[back].to(device),
        packed=packed,
    ).logits[0]
    for row in rows:
        row.length += len(row.feed)
    return logits


def capacity(length: int) -> int:
    """Tokens for which a slot has room if it stores `length` of them: little more, since attention reads them all."""
    return -(-length // ROOM) * ROOM


def _reserve(cache: Cache, length: int) -> None:
    """Allocate room for sequences of `length` tokens."""
    if length > cache.capacity:
        room = capacity(length)
        free_memory.check(cache.bytes(room - cache.capacity), cache.device)
        cache.reserve(room)


def _pad_prompts(lengths: torch.Tensor, first: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (M, L) of prompts of the given lengths [M] that follow one another from token `first` on."""
    if not len(lengths):
        return torch.empty(0, 0, dtype=torch.long), lengths
    starts = first + lengths.cumsum(0) - lengths
    steps = torch.arange(int(lengths.max()))
    return starts[:, None] + torch.minimum(steps[None, :], lengths[:, None] - 1), lengths
