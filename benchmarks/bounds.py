"""The least time of some work: that of its flops in a large product, or of its bytes in a large copy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch

from rankrefine.llm.transformers import engine as engines
from rankrefine.llm.transformers import packed_linear, shared_prefix
from rankrefine.llm.transformers.lm_head import Head
from rankrefine.llm.transformers.packed_forward import Row

REPEATS = 10


@dataclass
class Work:
    """Sums over some steps."""

    flops: float = 0
    bytes: float = 0  # read and written
    rows: int = 0  # for which a next token is computed


@dataclass(frozen=True)
class Rates:
    """Speed of a device, measured."""

    flops: float  # a second, of a product of large matrices
    bytes: float  # a second, read and written by a copy

    def seconds(self, work: Work) -> float:
        """Least time of the work."""
        return max(work.flops / self.flops, work.bytes / self.bytes)

    def describe(self, work: Work) -> str:
        """Return what limits the work."""
        by_flops = work.flops / self.flops >= work.bytes / self.bytes
        limit = f"{self.flops / 1e12:.2f} TFLOP/s" if by_flops else f"{self.bytes / 1e9:.0f} GB/s"
        return f"{'products' if by_flops else 'memory'}, {limit}"


def measure(device: torch.device, dtype: torch.dtype) -> Rates:
    """Return the speed of products in `dtype`, and of memory."""
    size, count = (8192, 2**28) if device.type == "cuda" else (1024, 2**25)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    source = torch.ones(count, device=device)  # pages that were never written would not be read from memory
    target = torch.empty_like(source)
    product, copy = fastest(lambda: left @ right, device), fastest(lambda: target.copy_(source), device)
    return Rates(2 * size**3 / product, 2 * source.nbytes / copy)


def fastest(function: Callable[[], Any], device: torch.device) -> float:
    """Return the least of several times, in seconds."""
    seconds = []
    for _ in range(REPEATS):
        synchronize(device)
        started = time.perf_counter()
        function()
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def synchronize(device: torch.device) -> None:
    """Wait for all work of a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def linear_layers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the layers whose products with weights are most of a language model's work."""
    return [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear | packed_linear.PackedLinear)]


def _keys(stored: int, fed: int) -> int:
    """Return how many keys some tokens attend to, if `stored` are before the first of them."""
    return fed * stored + fed * (fed + 1) // 2


@contextmanager
def decoding(engine: engines.TransformersEngine) -> Iterator[Work]:
    """Count the work of the engine's steps: products with weights, attention, reading weights, keys and values.

    A step reads all weights, and the keys and values of a shared prefix, once.
    """
    model, forward, work = engine.model, engines.forward, Work()
    sizes = {layer: layer.weight.shape[0] * layer.weight.shape[1] for layer in linear_layers(model)}
    total = sum(sizes.values())
    last = model.get_output_embeddings()
    of_head = sizes[last.layer if isinstance(last, Head) else last]
    config = model.config.get_text_config()
    width = 4 * config.num_attention_heads * config.num_hidden_layers  # flops of attention per key and unit of width

    def counted(
        model: torch.nn.Module,
        rows: list[Row],
        cache: shared_prefix.Cache,
        head: Head | None = None,
        full: int | None = None,
    ) -> torch.Tensor:
        computed = len(rows) if head is None or full is None else full  # of the others a few logits are
        fed = sum(len(row.feed) for row in rows)
        own = sum(row.length + len(row.feed) for row in rows)
        keys = sum(_keys(cache.prefix_lengths[row.prompt.prefix] + row.length, len(row.feed)) for row in rows)
        prefixes = sum(cache.prefix_lengths[prefix] for prefix in {row.prompt.prefix for row in rows})
        work.flops += 2 * (total - of_head) * fed + 2 * of_head * computed + width * cache.width * keys
        work.bytes += total * model.dtype.itemsize + (own + prefixes) * cache.bytes(1) / cache.slots
        work.rows += len(rows)
        return forward(model, rows, cache, head, full)

    with mock.patch.object(engines, "forward", counted):
        yield work
