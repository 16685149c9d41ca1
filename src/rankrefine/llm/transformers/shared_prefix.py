"""Keys and values of many short sequences that begin with one of a few long prefixes, and attention over them.

A forward pass is packed: the tokens of all its sequences form one row of the model's input, shape (1, T), without
padding. The keys and values of a prefix (a prompt template) are stored once, and all tokens of its sequences attend to
them in one matrix product. Each sequence has a preallocated slot for its own keys and values; grouped heads are not
replicated. `install` puts `attend` in place of the model's attention through transformers' attention interface.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from rankrefine.errors import UserError

NAME = "rankrefine_shared_prefix"
MOST_SCORES = 2**26  # maximum number of attention scores of prompts at the same time; 256 MB

Prefix = list[tuple[Tensor, Tensor]]  # per layer keys and values, (H, P, D) each; [] is an empty prefix


@dataclass
class Packed:
    """The T tokens of one forward pass: first one token of each sequence that decodes, then whole prompts."""

    cache: "Cache"  # receives their keys and values
    slots: Tensor  # of each token, [T]
    positions: Tensor  # of each token in its sequence after the prefix, [T]
    prefixes: Tensor  # of each token, [T], on the CPU
    decoding: int  # number of leading tokens that decode
    prompts: Tensor  # token indices of the prompts, [M, L], padded on the right by repeating the last
    lengths: Tensor  # of the prompts, [M]

    def __post_init__(self) -> None:
        """Prepare what all layers share: masks, as numbers to add to scores, and the tokens of each prefix."""
        cache, device = self.cache, self.slots.device
        if self.decoding:
            own, slots = self.positions[: self.decoding], self.slots[: self.decoding]
            # with most slots in use, reading all of them in place is cheaper than gathering those in use
            self.whole = self.decoding >= 0.6 * cache.slots
            self.keys_used = cache.capacity if self.whole else int(own.max()) + 1
            if self.whole:
                own = torch.zeros(cache.slots, dtype=own.dtype, device=device).index_copy_(0, slots, own)
            hidden = torch.arange(self.keys_used, device=device) > own[:, None]
            self.decode_mask = _to_add(hidden)[None, :, None, :]  # (1, N, 1, K)
        if len(self.prompts):
            steps = torch.arange(self.prompts.shape[1], device=device)
            future = steps[None, :] > steps[:, None]
            padding = steps[None, :] >= self.lengths[:, None]
            hidden = (future[None] | padding[:, None, :]).repeat_interleave(cache.group, dim=1)
            self.prompt_mask = _to_add(hidden)[None]  # (1, M, L*G, L)
            self.prompt_places = (~padding).flatten().nonzero().squeeze(1)  # indices that are no padding
        # (prefix, indices of its tokens); None means all tokens and needs no copies
        self.groups: list[tuple[int, Tensor | None]] = [
            (prefix, None if (chosen := self.prefixes == prefix).all() else chosen.nonzero().squeeze(1).to(device))
            for prefix in self.prefixes.unique().tolist()
            if cache.prefixes[prefix]
        ]


def _to_add(hidden: Tensor) -> Tensor:
    """Return the mask `hidden` as float32: minus infinity where it is True, else 0."""
    return torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, -torch.inf)


class Cache:
    """Keys and values of a model with H key heads of width D, each shared by G query heads.

    `prefixes[i][layer]` is a pair of (H, P, D), `own[layer]` a pair of (H, slots, capacity, D): with the heads first,
    the products of a layer are batched matrix products over contiguous memory.
    """

    def __init__(self, model: PreTrainedModel, slots: int, prefixes: Sequence[Prefix] = ([],)) -> None:
        config = model.config.get_text_config()
        self.layers, self.heads = config.num_hidden_layers, config.num_key_value_heads
        self.group = config.num_attention_heads // self.heads
        self.width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.dtype, self.device = model.dtype, model.device
        self.slots, self.prefixes = slots, prefixes
        self.prefix_lengths = [prefix[0][0].shape[1] if prefix else 0 for prefix in prefixes]
        self.capacity = 0
        empty = torch.empty(self.heads, slots, 0, self.width, dtype=self.dtype, device=self.device)
        self.own: list[tuple[Tensor, Tensor]] = [(empty, empty)] * self.layers

    def bytes(self, capacity: int) -> int:
        """Bytes of memory for `capacity` tokens in every slot."""
        return 2 * self.layers * self.heads * self.slots * capacity * self.width * self.dtype.itemsize

    def reserve(self, capacity: int) -> None:
        """Grow to `capacity` tokens after the prefix in every slot; keep what is stored."""
        shape = (2, self.heads, self.slots, capacity, self.width)
        for layer in range(self.layers):  # one at a time: old and new memory of all layers would be too much
            pair = torch.zeros(shape, dtype=self.dtype, device=self.device)
            pair[:, :, :, : self.capacity] = torch.stack(self.own[layer])
            self.own[layer] = (pair[0], pair[1])
        self.capacity = capacity

    def as_prefix(self, slot: int, length: int) -> Prefix:
        """Return copies of the first `length` keys and values of a slot, as a prefix for another cache."""
        return [(keys[:, slot, :length].clone(), values[:, slot, :length].clone()) for keys, values in self.own]


def install(model: PreTrainedModel) -> None:
    """Replace the attention of `model` by `attend`; its forward then takes the keyword `packed`.

    Raises:
        UserError: the architecture has no replaceable attention, or one that `attend` does not compute.
    """
    config = model.config.get_text_config()
    if not getattr(model, "_supports_attention_backend", False):
        raise UserError(f"The language model's architecture ({config.model_type}) has no replaceable attention.")
    if not hasattr(config, "num_key_value_heads"):
        raise UserError(f"The language model's architecture ({config.model_type}) is not supported.")
    if other := set(getattr(config, "layer_types", None) or []) - {"full_attention", "sliding_attention"}:
        raise UserError(f"The language model ({config.model_type}) has unsupported layers ({min(other)}).")
    ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
    model.set_attn_implementation(NAME)


def longest(model: PreTrainedModel) -> int | None:
    """Longest sequence that `attend` computes correctly, in tokens; None if there is no limit.

    It is the model's context, or the attention window of some of its layers.
    """
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    windowed = not kinds or "sliding_attention" in kinds
    names = ("max_position_embeddings", "sliding_window") if windowed else ("max_position_embeddings",)
    return min((limit for name in names if (limit := getattr(config, name, None))), default=None)


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed: Packed,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention of packed tokens over the prefix and the own tokens of each sequence.

    Args:
        query: (1, H*G, T, D); G query heads share one of the H key heads.
        key, value: (1, H, T, D) of the new tokens; stored in the cache.

    Returns:
        (1, T, H*G, D), and None for the weights.
    """
    if softcap is not None or s_aux is not None:
        feature = "caps its attention scores" if softcap is not None else "has attention sinks"
        raise UserError(f"The language model {feature}, which is not supported.")
    cache, n = packed.cache, packed.decoding
    count, width = query.shape[2:]
    scale = width**-0.5 if scaling is None else scaling
    query = (query[0] * scale).view(cache.heads, cache.group, count, width).transpose(1, 2)  # (H, T, G, D)
    keys, values = cache.own[module.layer_idx]
    keys[:, packed.slots, packed.positions] = key[0]
    values[:, packed.slots, packed.positions] = value[0]
    parts = []
    if n:
        parts.append(_decode(query[:, :n], keys, values, packed))
    if n < count:
        parts.append(_attend_prompts(query, key[0], value[0], packed))
    out, best = (torch.cat(part, 1) for part in zip(*parts, strict=True))
    for prefix, rows in packed.groups:
        pair = cache.prefixes[prefix][module.layer_idx]
        if rows is None:
            out = _merge(out, best, *_attend_prefix(query, *pair))
        else:
            out[:, rows] = _merge(out[:, rows], best[:, rows], *_attend_prefix(query[:, rows], *pair))
    return out.transpose(0, 1).reshape(1, count, cache.heads * cache.group, width), None


def _attend_prefix(query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Attention of queries (H, T, G, D) over the shared keys (H, P, D): one tall matrix product per head."""
    heads, count, group, width = query.shape
    tall = query.reshape(heads, 1, count * group, width)
    out, mass = _attention(tall, keys[:, None], values[:, None], None)
    return out.view(heads, count, group, width), mass.view(heads, count, group)


def _decode(query: Tensor, keys: Tensor, values: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
    """Attention of one query per sequence, (H, n, G, D), over the keys of its slot."""
    slots, mask = packed.slots[: packed.decoding], packed.decode_mask
    if packed.whole:
        spread = query.new_zeros(query.shape[0], packed.cache.slots, *query.shape[2:]).index_copy_(1, slots, query)
        out, mass = _attention(spread, keys, values, mask)
        return out.index_select(1, slots), mass.index_select(1, slots)
    keys, values = (part[:, :, : packed.keys_used].index_select(1, slots) for part in (keys, values))
    return _attention(query, keys, values, mask)


def _attend_prompts(query: Tensor, key: Tensor, value: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
    """Attention of whole prompts, the last tokens of query, key and value (H, T, …), over their own keys."""
    heads, _, group, width = query.shape
    length = packed.prompts.shape[1]
    together = max(1, MOST_SCORES // (heads * group * length**2))
    parts = []
    for some, mask in zip(packed.prompts.split(together), packed.prompt_mask.split(together, 1), strict=True):
        index = some.flatten()
        padded = query.index_select(1, index).view(heads, len(some), length * group, width)
        keys, values = (part.index_select(1, index).view(heads, len(some), length, width) for part in (key, value))
        out, mass = _attention(padded, keys, values, mask)
        parts.append((out.view(heads, -1, group, width), mass.view(heads, -1, group)))
    out, mass = (torch.cat(part, 1).index_select(1, packed.prompt_places) for part in zip(*parts, strict=True))
    return out, mass


def _attention(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """softmax(q k^T) v with the softmax in float32, and the logarithm of its denominator, for `_merge`.

    Args:
        query: (H, N, Q, D), already scaled.
        keys, values: (H, N, K, D).
        mask: float32 (1, N, Q or 1, K), added to the scores.

    Returns:
        (H, N, Q, D), and float32 (H, N, Q).
    """
    heads, n, queries, width = query.shape
    query, keys, values = query.reshape(heads * n, queries, width), keys.flatten(0, 1), values.flatten(0, 1)
    scores = torch.bmm(query, keys.transpose(1, 2)).view(heads, n, queries, -1)
    scores = scores.float() if mask is None else scores + mask
    weights = scores.softmax(-1)
    # the largest weight is 1 / sum(exp(scores - max)): cheaper than logsumexp
    mass = scores.amax(-1) - weights.amax(-1).log()
    out = torch.bmm(weights.to(values.dtype).flatten(0, 1), values)
    return out.view(heads, n, queries, width), mass


def _merge(first: Tensor, first_mass: Tensor, second: Tensor, second_mass: Tensor) -> Tensor:
    """Attention over two sets of keys, from the attention over each: their mean, weighted by the denominators."""
    weight = torch.sigmoid(second_mass - first_mass).unsqueeze(-1)
    return torch.lerp(first.float(), second.float(), weight).to(first.dtype)
