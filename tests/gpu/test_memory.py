"""Memory that runs out: half as many requests run, and the chains stay the same."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import equality
import made_up
import material
import pytest
import torch

from rankrefine.generate import blocks
from rankrefine.generate.recipes import ranking
from rankrefine.generate.recipes.ranking import Chain
from rankrefine.llm.transformers import engine as engines
from rankrefine.llm.transformers import free_memory

pytestmark = pytest.mark.gpu
LEFT = 0.7  # of the memory that all requests take; half of them must fit


def test_memory_that_runs_out_halves_the_requests(
    size, device, note, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chains are compared in float32 without sampling, which has few near-ties."""
    changes = {"device": device, "dtype": "float32", "rounds": 2, "max_new_tokens": size.tokens, "temperature": 0.0}
    settings = equality.SETTINGS | changes | {"token_budget": 2**40}
    recipe = ranking.load({"seed": 1, "generate": settings})
    seeds = material.seeds([sentence for (sentence,) in made_up.chains(size.language_model, size.sentences, 0)])
    with made_up.opened(size.language_model):
        engine = engines.load(None, recipe.prompts, recipe.sampling, size.sentences, settings, None)
    assert engine.max_running == size.sentences  # no token budget limits them
    limit = limited_gpu if device == "cuda" else limited_processor
    with limit(monkeypatch) as set_limit:
        free, _ = blocks.run(seeds, engine, recipe, lambda *_: None)
        assert not caplog.records, "memory ran out without a limit"
        engine.reset()
        set_limit()
        few, _ = blocks.run(seeds, engine, recipe, lambda *_: None)
    messages = [record.getMessage() for record in caplog.records]
    assert f"restarting with {size.sentences // 2} of {size.sentences} requests" in messages[0]
    assert engine.max_running == size.sentences, "the next block must start with all requests again"
    note(f"{messages[0]} {'; '.join(messages[1:])} {compare(free, few)}".strip())


def compare(free: list[Chain], few: list[Chain]) -> str:
    """Assert that chains are equal, except where rounding could change a choice; return what was found."""
    pairs = list(zip(free, few, strict=True))
    sure = [pair for pair in pairs if not pair[0].near_ties and not pair[1].near_ties]
    assert all((one.sentences, one.stops) == (other.sentences, other.stops) for one, other in sure)
    assert len(sure) >= len(pairs) / 2, "too many near-ties: the comparison is meaningless"
    return f"{len(pairs)} chains, {len(pairs) - len(sure)} with near-ties, the others are equal."


@contextmanager
def limited_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Yield a function that limits this process to a part of the memory that was taken since the start."""
    start = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()

    def limit() -> None:
        taken = torch.cuda.max_memory_allocated() - start
        gc.collect()
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + LEFT * taken) / total)

    try:
        yield limit
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@contextmanager
def limited_processor(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """The same for what the engine takes for the system's free memory."""
    needed: list[int] = []
    check = free_memory.check
    monkeypatch.setattr(free_memory, "check", lambda size, device: needed.append(size) or check(size, device))
    yield lambda: monkeypatch.setattr(free_memory, "available", lambda: int(LEFT * max(needed) * free_memory.SPARE))
