"""Speed of guided generation on transformers: python benchmarks/generation.py [--chains 320] [--repeats 3]

Compares, in turn, our engine, the library's guided `generate` with one completion at a time (as in the paper's
script), and the same at its best batch size, on the same prompts with the same model at the same temperature (the
library has no plausibility cut). The prompts come from sampled chains: a rewrite and the one before it, so that all
completions are guided. A guided token is one that is emitted for both prompts. There are two bounds: the speed of the
matrix products with the model's weights alone, with the same number of rows; and that of all work on prompts and
completions, at the speed of a large product or of memory, whichever allows less (`bounds.py`).
--profile prints the time of each part of a step; --blocks runs whole chains in blocks of several sizes instead.
--made-up takes a model with random weights and made-up sentences (`made_up.py`), which needs no downloads.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import bounds
import made_up
import material
import torch
from library import Library
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from rankrefine.config import load as configuration
from rankrefine.generate import blocks, workers
from rankrefine.generate.recipes import ranking
from rankrefine.generate.recipes.ranking import Ranking
from rankrefine.llm.interface import Request
from rankrefine.llm.transformers import engine as engines
from rankrefine.llm.transformers import packed_linear, shared_prefix

SIZES = (8, 16, 32, 64, 128)  # batch sizes for the library
FEW = 12  # completions for the library one at a time
SETTINGS = configuration.defaults()["generate"]
SCALE = SETTINGS["guidance_scale"]
Pairs = list[list[tuple[str, str]]]  # of each chain, (current, previous) sentences


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=material.SMALL)
    parser.add_argument("--made-up", choices=made_up.LANGUAGE_MODELS, help="random weights in place of --model")
    parser.add_argument("--chains", type=int, default=320, help="seed sentences")
    parser.add_argument("--rounds", type=int, default=8, help="rewrites of each; the first is not guided")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", default=SETTINGS["dtype"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--profile", action="store_true", help="time of each part of our engine's steps")
    parser.add_argument("--blocks", type=int, nargs="*", help="whole chains in blocks of these sizes")
    options = parser.parse_args(arguments)
    SETTINGS["dtype"] = options.dtype
    measure = compare_blocks if options.blocks else compare
    if options.made_up:
        with made_up.opened(options.made_up):
            measure(None, made_up.chains(options.made_up, options.chains, options.rounds - 1), options)
        return
    with tempfile.TemporaryDirectory() as scratch:
        model = material.model(options.model, Path(scratch)).path
        measure(model, [[text] for text in material.sentences(options.chains, Path(scratch))], options)


def compare(folder: Path | None, chains: list[list[str]], options: argparse.Namespace) -> None:
    """Print the speed of our engine and of the library, measured in turn."""
    recipe, size = _recipe(rounds=options.rounds), min(SETTINGS["block_size"], len(chains))
    engine = engines.load(folder, recipe.prompts, recipe.sampling, size, SETTINGS, options.threads)
    if not options.made_up:
        chains = _sampled(engine, recipe, chains)
    pairs = [list(zip(chain[1:], chain[:-1], strict=True)) for chain in chains if len(chain) > 2]
    print(f"{sum(map(len, pairs))} pairs of prompts from {len(pairs)} chains; {engine.describe()}")
    bound = engine.max_running / _weights_only(engine.model, 2 * engine.max_running)
    print(f"weights alone at {2 * engine.max_running} rows: {bound:.0f} guided tokens/s")
    if options.profile:
        profile(engine, recipe.prompt, pairs)
        return
    whole = _whole_bound(engine, recipe.prompt, pairs)
    library = Library(*_unchanged(folder, engine, options), recipe.prompt, SETTINGS)
    flat = [pair for own in pairs for pair in own]
    rates = {size: library.rate(flat[: max(size, SIZES[-2])], size) for size in SIZES if size <= len(flat)}
    best = max(rates, key=rates.get)
    print("library, batched:", ", ".join(f"{size}: {rate:.1f}" for size, rate in rates.items()), "guided tokens/s")
    ratios = []
    for _ in range(options.repeats):
        ours, at_full = run(engine, recipe.prompt, pairs)
        one, many = library.rate(flat[:FEW], 1), library.rate(flat[: 2 * best], best)
        ratios.append((ours / one, ours / many, ours / bound, ours / whole))
        print(
            f"ours {ours:.0f} guided tokens/s ({at_full:.0f} at full batches), library {one:.1f} one at a "
            f"time and {many:.1f} at batch size {best}: {ours / one:.1f} and {ours / many:.1f} times; "
            f"{ours / bound:.0%} and {ours / whole:.0%} of the bounds"
        )
    medians = [statistics.median(values) for values in zip(*ratios, strict=True)]
    line = "medians: {:.1f} times one at a time, {:.1f} times batched, {:.0%} and {:.0%} of the bounds"
    print(line.format(*medians), flush=True)


def _sampled(engine: engines.TransformersEngine, recipe: Ranking, seeds: list[list[str]]) -> list[list[str]]:
    """Return the sentences of sampled chains; a last rewrite is no prompt."""
    drafts, _ = blocks.run(material.seeds([seed for (seed,) in seeds]), engine, recipe, lambda *_: None)
    return [draft.sentences[: recipe.rounds] for draft in drafts]


def _whole_bound(engine: engines.TransformersEngine, prompt: Any, pairs: Pairs) -> float:
    """Print and return the guided tokens per second that the device's speed allows for all the work."""
    speed = bounds.measure(engine.model.device, engine.model.dtype)
    with bounds.decoding(engine) as work:
        run(engine, prompt, pairs)
    bound = work.rows / 2 / speed.seconds(work)
    print(f"prompts, attention and weights: {bound:.0f} guided tokens/s, by {speed.describe(work)}")
    return bound


def _unchanged(
    folder: Path | None, engine: engines.TransformersEngine, options: argparse.Namespace
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the library's model and tokenizer, since the engine changes its model."""
    device, dtype = engine.model.device, engine.model.dtype
    if options.made_up:
        return made_up.language_model(options.made_up, device, dtype), made_up.tokenizer(options.made_up)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval().to(device)
    return model, AutoTokenizer.from_pretrained(folder)


def run(engine: engines.TransformersEngine, prompt: Any, pairs: Pairs) -> tuple[float, float]:
    """Guided tokens per second over all pairs, chain by chain as they would be made, and at full batches."""
    engine.reset()
    waiting = iter(enumerate(pairs))
    places: dict[int, Iterator[Request]] = {}

    def ask(chain: int) -> bool:
        request = next(places[chain], None)
        if request is not None:
            engine.add(request)
        return request is not None

    def refill() -> bool:
        if (item := next(waiting, None)) is None:
            return False
        chain, sentences = item
        places[chain] = (
            Request(chain, prompt.fill(now), prompt.fill(before), SCALE, (1, chain, place))
            for place, (now, before) in enumerate(sentences)
        )
        return ask(chain)

    tokens = running = 0
    full: list[float] = []  # seconds and tokens when the first place stayed empty
    started = time.perf_counter()
    while running < engine.max_running and refill():
        running += 1
    while running:
        for completion in engine.step():
            tokens += len(completion.tokens)
            if not ask(completion.id) and not refill():
                full = full or [time.perf_counter() - started, tokens]
                running -= 1
    return tokens / (time.perf_counter() - started), full[1] / full[0]


def _weights_only(model: torch.nn.Module, rows: int) -> float:
    """Seconds of the products with all weights for `rows` rows: the minimum of several tries."""
    layers = bounds.linear_layers(model)
    widths = {layer.weight.shape[1] for layer in layers}
    inputs = {width: torch.randn(rows, width, dtype=model.dtype, device=model.device) for width in widths}

    @torch.inference_mode()
    def once() -> None:
        for layer in layers:
            layer(inputs[layer.weight.shape[1]])

    return bounds.fastest(once, model.device)


def profile(engine: engines.TransformersEngine, prompt: Any, pairs: Pairs) -> None:
    """Print the time of each part of a step, in a separate run; a part includes the parts that it calls."""
    spent: Counter[str] = Counter()
    packed = any(isinstance(module, packed_linear.PackedLinear) for module in engine.model.modules())
    linear = packed_linear.PackedLinear if packed else torch.nn.Linear
    parts = {
        "whole step": (engine, "step"),
        "  model": (engines, "forward"),
        "    products with weights": (linear, "forward"),
        "    attention, own tokens": (shared_prefix, "_decode"),
        "    attention, new prompts": (shared_prefix, "_attend_prompts"),
        "    attention, shared prefix": (shared_prefix, "_attend_prefix"),
        "  choice of tokens": (engine, "_choose"),
        "prompts to tokens": (engine, "add"),
    }
    steps = rows = fed = 0
    forward = engines.forward

    def counted(model: torch.nn.Module, batch: list[Any], *others: Any) -> torch.Tensor:
        nonlocal steps, rows, fed
        steps, rows, fed = steps + 1, rows + len(batch), fed + sum(len(row.feed) for row in batch)
        return forward(model, batch, *others)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(engines, "forward", counted))
        for name, (owner, function) in parts.items():
            timed = _timed(getattr(owner, function), spent, name, engine.model.device)
            stack.enter_context(mock.patch.object(owner, function, timed))
        rate, at_full = run(engine, prompt, pairs)
    print(f"{rate:.0f} guided tokens/s, {at_full:.0f} at full batches")
    print(f"a step has {rows / steps:.0f} rows and {fed / steps:.0f} input tokens, including those of prompts")
    for name in parts:
        print(f"{name:28s} {1000 * spent[name] / steps:6.0f} ms a step")


def _timed(function: Callable[..., Any], spent: Counter[str], name: str, device: torch.device) -> Callable[..., Any]:
    def timed(*arguments: Any, **keywords: Any) -> Any:
        bounds.synchronize(device)
        started = time.perf_counter()
        try:
            return function(*arguments, **keywords)
        finally:
            bounds.synchronize(device)
            spent[name] += time.perf_counter() - started

    return timed


def compare_blocks(folder: Path | None, chains: list[list[str]], options: argparse.Namespace) -> None:
    """Print tokens per second of whole chains from the first sentences of `chains`, in blocks of several sizes: one
    block at a time, and as many as the engine allows.
    """
    recipe, texts = _recipe(rounds=options.rounds), [chain[0] for chain in chains]
    for _ in range(options.repeats):
        for size in options.blocks:
            parts = [material.seeds(texts[first : first + size]) for first in range(0, len(texts), size)]
            engine = engines.load(folder, recipe.prompts, recipe.sampling, size, SETTINGS, options.threads)
            for parallel in ([engine], engine.split(len(parts))):
                started = time.perf_counter()
                with workers.run(list(enumerate(parts)), parallel, recipe, lambda _: lambda *_: None) as ended:
                    tokens = sum(chain.tokens for _, drafts, _ in ended for chain in drafts)
                rate = tokens / (time.perf_counter() - started)
                running = f"{len(parallel)} x {parallel[0].max_running} at the same time"
                print(f"blocks of {size:4d}, {running}: {rate:.0f} tokens/s, {tokens} tokens", flush=True)


def _recipe(**settings: Any) -> Ranking:
    return ranking.load({"seed": 1, "generate": SETTINGS | settings})


if __name__ == "__main__":
    main()
