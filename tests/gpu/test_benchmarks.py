"""The benchmarks run on the device with made-up models. Nothing here depends on time."""

from __future__ import annotations

import re
from dataclasses import replace

import bounds
import equality
import generation
import made_up
import pytest
import refinement
import torch

from rankrefine.llm.interface import Request
from rankrefine.llm.transformers import engine as engines

pytestmark = pytest.mark.gpu
FILL = equality.RECIPE.prompt.fill


def test_generation_is_measured_against_the_library_and_two_bounds(
    size, device, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(generation.SETTINGS, "device", device)
    monkeypatch.setitem(generation.SETTINGS, "max_new_tokens", size.tokens)
    generation.main(["--made-up", size.language_model, "--chains", "5", "--rounds", "3", "--repeats", "1"])
    printed = capsys.readouterr().out
    assert "10 pairs of prompts from 5 chains" in printed
    assert re.search(
        r"medians: [\d.]+ times one at a time, [\d.]+ times batched, \d+% and \d+% of the bounds", printed
    )


@pytest.mark.parametrize("options", [[], ["--batch", "2", "--bf16"]], ids=["1 list", "2 lists in bfloat16"])
def test_refinement_is_measured_against_the_released_algorithm(
    size, capsys: pytest.CaptureFixture, options: list[str]
) -> None:
    arguments = ["--made-up", size.encoder, "--lists", "3", "--sentences", "7", "--repeats", "1"]
    refinement.main([*arguments, *options])
    printed = capsys.readouterr().out
    assert "3 lists of 7" in printed
    assert re.search(r"rankrefine [\d.]+ lists/s \(\d+% of the bound\), released [\d.]+", printed)
    assert re.search(r"median ratio [\d.]+", printed)


def test_all_work_of_decoding_is_counted(size, device) -> None:
    """Of one guided request: its prompts after the shared prefix are read, then each of both rows reads its token."""
    settings = equality.SETTINGS | {"device": device, "dtype": "float32"}
    sampling = replace(equality.RECIPE.sampling, max_new_tokens=5)
    with made_up.opened(size.language_model):
        engine = engines.load(None, equality.RECIPE.prompts, sampling, 1, settings, None)
    pair = [FILL(sentence) for (sentence,) in made_up.chains(size.language_model, 2, 0)]
    request = Request(0, *pair, 1.5, (1,), one_line=False)
    with bounds.decoding(engine) as work:
        completion = equality.complete(engine, [request])[0]
    steps = len(completion.tokens) + (completion.stop == "end")
    model, (prefix,) = engine.model, engine._cache.prefix_lengths
    tails = [len(engine._encoder.encode(text, 9).tail) for text in pair]
    head = model.lm_head.weight.numel()
    others = sum(layer.weight.shape[0] * layer.weight.shape[1] for layer in bounds.linear_layers(model.model))
    read = sum(tail + steps - 1 for tail in tails)
    # a token attends to the prefix, to itself and to all before it
    keys = sum(prefix + place + 1 for tail in tails for place in range(tail + steps - 1))
    config = model.config
    width = config.num_attention_heads * config.head_dim * config.num_hidden_layers
    assert work.rows == 2 * steps
    # the head is spared for the negative prompt
    assert work.flops == 2 * others * read + 2 * head * steps + 4 * width * keys
    stored = sum(prefix + sum(tail + step for tail in tails) for step in range(steps))
    pair_of_key_and_value = 2 * 4 * config.num_key_value_heads * config.head_dim * config.num_hidden_layers
    assert work.bytes == 4 * (others + head) * steps + pair_of_key_and_value * stored


def test_the_least_time_is_that_of_products_or_of_memory() -> None:
    rates = bounds.Rates(flops=1e12, bytes=1e9)
    assert rates.seconds(bounds.Work(flops=2e12, bytes=1e9)) == 2
    assert rates.describe(bounds.Work(flops=2e12, bytes=1e9)) == "products, 1.00 TFLOP/s"
    assert rates.seconds(bounds.Work(flops=1e12, bytes=3e9)) == 3
    assert rates.describe(bounds.Work(flops=1e12, bytes=3e9)) == "memory, 1 GB/s"


def test_a_rate_of_this_device_is_measured(device) -> None:
    rates = bounds.measure(torch.device(device), torch.float32)
    assert rates.flops > 1e8 and rates.bytes > 1e7
