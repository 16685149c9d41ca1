"""Keys and values for many short sequences that share one long prefix, and attention over them.

A forward pass is packed: its tokens, of any number of sequences, lie side by side as one row of the model's input
(1, T), so that no token is padding. The prefix (the prompt template) is stored once and attended to by all tokens in
one matrix product; each sequence has a slot for its own keys and values, allocated ahead; grouped heads are not
replicated. `install` puts `attend` in place of the model's attention through transformers' attention interface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from rankrefine.errors import UserError

NAME = "rankrefine_shared_prefix"


@dataclass
class Packed:
    """The tokens of one forward pass: first one token for each sequence that decodes, then whole prompts.

    Attributes:
        cache: where their keys and values go.
        slots: slot of each token, [T].
        positions: place of each token in its sequence after the prefix, [T].
        decoding: number of leading tokens that decode.
        prompts: token indices of the prompts, [M, L], padded on the right by repeating the last.
        lengths: of the prompts, [M].
    """

    cache: Cache
    slots: torch.Tensor
    positions: torch.Tensor
    decoding: int
    prompts: torch.Tensor
    lengths: torch.Tensor

    def __post_init__(self) -> None:
        cache, device = self.cache, self.slots.device
        if self.decoding:
            used = int(self.positions[: self.decoding].max()) + 1
            # with most slots in use, reading all of them is cheaper than copying those in use together
            self.gather = self.decoding < 0.6 * cache.slots
            self.keys_used = used
            own = self.positions[: self.decoding]
            if not self.gather:
                own = torch.zeros(cache.slots, dtype=own.dtype, device=device).index_copy_(
                    0, self.slots[: self.decoding], own
                )
            self.decode_hidden = (torch.arange(used, device=device) > own[:, None])[:, None, None, :]
        if len(self.prompts):
            steps = torch.arange(self.prompts.shape[1], device=device)
            future = steps[None, :] > steps[:, None]
            padding = steps[None, :] >= self.lengths[:, None]
            self.prompt_hidden = (future[None] | padding[:, None, :])[:, None, None]  # (M, 1, 1, L, L)


class Cache:
    """Keys and values: `prefix[layer]` is a pair of (H, P, D), `own[layer]` a pair of (slots, H, capacity, D)."""

    def __init__(self, slots: int, prefix: list[tuple[torch.Tensor, torch.Tensor]] | None = None) -> None:
        self.slots = slots
        self.capacity = 0
        self.prefix = prefix
        self.own: list[tuple[torch.Tensor, torch.Tensor]] = []

    @property
    def prefix_length(self) -> int:
        """Tokens of the prefix."""
        return self.prefix[0][0].shape[1] if self.prefix else 0

    def reserve(self, capacity: int, model: PreTrainedModel) -> None:
        """Make room for `capacity` tokens after the prefix in every slot; what is stored stays."""
        if capacity <= self.capacity:
            return
        config = model.config.get_text_config()
        heads = config.num_key_value_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        grown = []
        for layer in range(config.num_hidden_layers):
            pair = torch.zeros(2, self.slots, heads, capacity, width, dtype=model.dtype, device=model.device)
            if self.own:
                pair[:, :, :, : self.capacity] = torch.stack(self.own[layer])
            grown.append((pair[0], pair[1]))
        self.own, self.capacity = grown, capacity

    def as_prefix(self, slot: int, length: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Copies of the first `length` keys and values of a slot, for use as another cache's prefix."""
        return [(keys[slot, :, :length].clone(), values[slot, :, :length].clone()) for keys, values in self.own]


def install(model: PreTrainedModel) -> None:
    """Let `model` attend through `attend`; its forward then takes the keyword `packed`.

    Raises:
        UserError: the architecture has no replaceable attention, or one that `attend` does not compute.
    """
    config = model.config.get_text_config()
    if not getattr(model, "_supports_attention_backend", False):
        raise UserError(f"The language model's architecture ({config.model_type}) has no replaceable attention.")
    if not hasattr(config, "num_key_value_heads"):
        raise UserError(f"The language model's architecture ({config.model_type}) is not supported.")
    other = set(getattr(config, "layer_types", None) or []) - {"full_attention", "sliding_attention"}
    if other:
        raise UserError(f"The language model ({config.model_type}) has layers of kind {min(other)}; not supported.")
    ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
    model.set_attn_implementation(NAME)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    packed: Packed,
    scaling: float | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention of packed tokens over the prefix and each one's own sequence.

    Args:
        query: (1, H*G, T, D); G query heads share one of the H key heads.
        key, value: (1, H, T, D) of the new tokens; stored in the cache.

    Returns:
        (1, T, H*G, D), and None for the weights.
    """
    if softcap is not None or s_aux is not None:
        what = "caps its attention scores" if softcap is not None else "has attention sinks"
        raise UserError(f"The language model {what}, which is not supported.")
    cache, n = packed.cache, packed.decoding
    if sliding_window is not None and cache.prefix_length + cache.capacity > sliding_window:
        raise UserError(f"Prompts are longer than the language model's attention window ({sliding_window} tokens).")
    _, all_heads, count, width = query.shape
    heads = key.shape[1]
    scale = width**-0.5 if scaling is None else scaling
    query = (query[0] * scale).view(heads, all_heads // heads, count, width).permute(2, 0, 1, 3)  # (T, H, G, D)
    key, value = key[0].transpose(0, 1), value[0].transpose(0, 1)  # (T, H, D)
    keys, values = cache.own[module.layer_idx]
    keys[packed.slots, :, packed.positions] = key
    values[packed.slots, :, packed.positions] = value
    prefix = cache.prefix[module.layer_idx] if cache.prefix else None
    out = query.new_empty(count, heads, all_heads // heads, width)
    if n:
        out[:n] = _decode(query[:n], keys, values, prefix, packed)
    if n < count:
        _attend_prompts(query, key, value, prefix, packed, out)
    return out.view(1, count, all_heads, width), None


def _decode(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    prefix: tuple[torch.Tensor, torch.Tensor] | None,
    packed: Packed,
) -> torch.Tensor:
    """One query per sequence: (n, H, G, D) over the prefix and the slot's keys."""
    used, slots = packed.keys_used, packed.slots[: packed.decoding]
    keys, values = keys[:, :, :used], values[:, :, :used]
    if packed.gather:
        return _softmax_attention(query, keys[slots], values[slots], prefix, packed.decode_hidden)
    spread = query.new_zeros(packed.cache.slots, *query.shape[1:]).index_copy_(0, slots, query)
    return _softmax_attention(spread, keys, values, prefix, packed.decode_hidden)[slots]


def _attend_prompts(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    prefix: tuple[torch.Tensor, torch.Tensor] | None,
    packed: Packed,
    out: torch.Tensor,
) -> None:
    """Whole prompts, which attend to the prefix and to themselves only; writes into `out` (T, H, G, D)."""
    index = packed.prompts
    (m, length), (_, heads, group, width) = index.shape, query.shape
    padded = query[index].permute(0, 2, 3, 1, 4).reshape(m, heads, group * length, width)
    hidden = packed.prompt_hidden.expand(m, 1, group, length, length).reshape(m, 1, group * length, length)
    result = _softmax_attention(padded, key[index].transpose(1, 2), value[index].transpose(1, 2), prefix, hidden)
    result = result.view(m, heads, group, length, width).permute(0, 3, 1, 2, 4)
    real = torch.arange(length, device=index.device)[None, :] < packed.lengths[:, None]
    out[index[real]] = result[real]


def _softmax_attention(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    prefix: tuple[torch.Tensor, torch.Tensor] | None,
    hidden: torch.Tensor,
) -> torch.Tensor:
    """softmax(q k^T) v over prefix and own keys together, softmax in float32.

    Args:
        query: (N, H, Q, D), already scaled.
        keys, values: (N, H, K, D).
        prefix: keys and values (H, P, D) that all N sequences share.
        hidden: (N, 1, Q or 1, K), true where a key must not be seen.

    Returns:
        (N, H, Q, D).
    """
    n, heads, queries, width = query.shape
    scores = torch.matmul(query, keys.transpose(2, 3)).float().masked_fill_(hidden, -torch.inf)
    if prefix is None:
        return torch.matmul(scores.softmax(-1).to(values.dtype), values)
    # all sequences are one tall matrix before the shared keys
    tall = query.transpose(0, 1).reshape(heads, n * queries, width)
    shared = torch.matmul(tall, prefix[0].transpose(1, 2)).float()
    shared = shared.view(heads, n, queries, -1).transpose(0, 1)
    weights = torch.cat([shared, scores], -1).softmax(-1).to(values.dtype)
    length = shared.shape[-1]
    tall = weights[..., :length].transpose(0, 1).reshape(heads, n * queries, length)
    from_prefix = torch.matmul(tall, prefix[1]).view(heads, n, queries, width).transpose(0, 1)
    return from_prefix + torch.matmul(weights[..., length:], values)
