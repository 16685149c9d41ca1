"""Guided decoding on a GPU: equal to the library's in float32, and to itself in any batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import equality
import made_up
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from rankrefine.llm.interface import Completion, Request, Sampling
from rankrefine.llm.tokens import encode, label_tokens
from rankrefine.llm.transformers import engine as engines

pytestmark = pytest.mark.gpu
FILL = equality.RECIPE.prompt.fill
LARGE = 20e9  # bytes of free memory for a model of 8 billion parameters in bfloat16, with keys and values
ROUNDING = 0.5  # of a guided logit in bfloat16; logits have a standard deviation of 2.5


@pytest.fixture(scope="module")
def folder(size, device, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model, saved as those that generate.model names."""
    folder = tmp_path_factory.mktemp("language-model")
    made_up.language_model(size.language_model, device, torch.float32).save_pretrained(folder)
    made_up.tokenizer(size.language_model).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def settings(device) -> dict[str, object]:
    return equality.SETTINGS | {"device": device, "dtype": "float32"}


@pytest.fixture(scope="module")
def load(folder, settings) -> Callable[[Sampling, int], engines.TransformersEngine]:
    """Loads the engine with a sampling and a number of requests that run at the same time."""
    return lambda sampling, running: engines.load(folder, equality.RECIPE.prompts, sampling, running, settings, None)


def pairs(shape: str, count: int) -> list[tuple[str, str]]:
    """Pairs of different sentences, so that guidance matters."""
    texts = [sentence for (sentence,) in made_up.chains(shape, 2 * count, 0)]
    return list(zip(texts[::2], texts[1::2], strict=True))


def requests(size, scale: float = equality.SCALE) -> list[Request]:
    texts = pairs(size.language_model, size.pairs)
    return [Request(i, *map(FILL, pair), scale, (1, f"s{i}", 1, 0)) for i, pair in enumerate(texts)]


def library(folder: Path, device: str) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device).eval()


@pytest.mark.parametrize("scale", [1.0, 1.5, 3.0])
def test_greedy_tokens_equal_the_librarys_generate(load, folder, device, size, note, scale: float) -> None:
    engine = load(Sampling(max_new_tokens=size.tokens), size.pairs)
    assert engine.model.device.type == device and engine.model.dtype == torch.float32
    found = equality.compared(engine, library(folder, device), pairs(size.language_model, size.pairs), scale)
    note(f"{size.language_model} in float32, {'; '.join(str(found).splitlines())}")
    assert not found.wrong, found.wrong
    assert found.ties <= found.pairs / 4, "too many near-ties: the comparison is meaningless"
    assert found.share == 0 if scale == 1 else found.share > equality.LEAST_CHANGED


def compare(first: dict[int, Completion], second: dict[int, Completion]) -> str:
    """Assert that completions are equal, except where rounding could change a choice; return what was found."""
    assert first.keys() == second.keys()
    sure = [i for i in first if not first[i].near_ties and not second[i].near_ties]
    different = [i for i in first if first[i].tokens != second[i].tokens]
    assert not set(sure) & set(different), f"requests {sorted(set(sure) & set(different))} differ"
    assert len(sure) >= len(first) / 4, "too many near-ties: the comparison is meaningless"
    return f"{len(first)} requests, {len(first) - len(sure)} with near-ties, of which {len(different)} differ"


@pytest.mark.parametrize("temperature", [0.0, equality.SETTINGS["temperature"]])
def test_a_request_is_completed_alike_alone_and_in_a_batch(load, size, note, temperature: float) -> None:
    sampling = replace(equality.RECIPE.sampling, temperature=temperature, max_new_tokens=size.tokens)
    engine, some = load(sampling, size.pairs), requests(size)
    together = equality.complete(engine, some)
    engine.reset(3)
    few = equality.complete(engine, some[::-1])
    engine.reset(1)
    alone = equality.complete(engine, some)
    lengths = {len(completion.tokens) for completion in alone.values()}
    assert len(lengths) > 1, "all completions end together: no request ever took another's place"
    note(f"temperature {temperature}: {compare(alone, together)}; {compare(alone, few)}")


def test_a_guidance_scale_of_1_is_plain_decoding(load, size, note) -> None:
    sampling = replace(equality.RECIPE.sampling, max_new_tokens=size.tokens)
    engine, guided = load(sampling, size.pairs), requests(size)
    variants = (
        requests(size, 1.0),
        [replace(request, negative_prompt=None) for request in guided],
        [replace(request, negative_prompt=request.prompt) for request in guided],
        guided,
    )
    scale_1, without, same, guided = (equality.complete(engine, some) for some in variants)
    note(f"{compare(scale_1, without)}; {compare(scale_1, same)}")
    assert any(guided[i].tokens != without[i].tokens for i in guided), "guidance changed nothing"


def test_scores_are_the_librarys_log_probabilities(load, folder, device, size) -> None:
    engine, labels = load(Sampling(max_new_tokens=size.tokens), 4), [str(label) for label in range(6)]
    prompts = [FILL(text) for text, _ in pairs(size.language_model, size.pairs)]
    scores = torch.from_numpy(engine.score(prompts, labels))
    model, tokens = library(folder, device), label_tokens(engine.tokenizer, prompts, labels)
    for prompt, row, columns in zip(prompts, scores, tokens, strict=True):
        expected = logits(model, encode(engine.tokenizer, prompt))[-1].log_softmax(-1)[columns]
        assert torch.allclose(row, expected.cpu(), atol=1e-3)
    assert scores.std() > 0.1


@torch.inference_mode()
def logits(model: PreTrainedModel, tokens: list[int]) -> torch.Tensor:
    """The library's logits after each token, without a cache: float32 [tokens, vocabulary]."""
    return model(torch.tensor([tokens], device=model.device)).logits[0].float()


def test_a_large_model_in_low_precision_chooses_what_the_library_finds_best(size, device, note) -> None:
    """Tokens cannot be equal in bfloat16; but each must be the library's best one, except for rounding."""
    if device == "cuda" and (free := torch.cuda.mem_get_info()[0]) < LARGE:
        pytest.skip(f"{size.large} needs {LARGE / 1e9:.0f} GB of free GPU memory, there are {free / 1e9:.0f}")
    with made_up.opened(size.large):
        settings = equality.SETTINGS | {"device": device, "dtype": "bfloat16" if device == "cuda" else "float32"}
        sampling = Sampling(max_new_tokens=size.tokens)
        engine = engines.load(None, equality.RECIPE.prompts, sampling, size.pairs, settings, None)
    texts = pairs(size.large, size.pairs)
    some = [Request(i, *map(FILL, pair), equality.SCALE, (i,)) for i, pair in enumerate(texts)]
    completions = equality.complete(engine, some)
    engine.reset(1)  # frees keys and values
    engine.model.set_attn_implementation("sdpa")  # the library's, with the same weights
    worst, mean = [], []
    for request in some[: size.pairs // 2]:
        if not (tokens := list(completions[request.id].tokens)):
            continue
        given, negative = (
            logits(engine.model, encode(engine.tokenizer, text) + tokens)[-len(tokens) - 1 : -1]
            for text in (request.prompt, request.negative_prompt)
        )
        guided = torch.lerp(negative, given, request.guidance_scale)
        chosen = guided.gather(1, torch.tensor(tokens, device=guided.device)[:, None]).squeeze(1)
        worst.append(float((guided.amax(-1) - chosen).max()))
        mean.append(float((guided.amax(-1) - guided.mean(-1)).mean()))
    note(
        f"{size.large} in {engine.describe()['dtype']}: a chosen token is at most {max(worst):.3f} below the best "
        f"guided logit, which is {min(mean):.1f} above the mean of all"
    )
    assert max(worst) < ROUNDING < min(mean) / 4
