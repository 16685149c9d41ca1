"""Scores of the transformers engine: the library's log-softmax, whatever runs together; labels that are refused."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from miniature.llm import WORDS
from miniature.llm import build as build_llm

from rankrefine.errors import UserError
from rankrefine.llm.interface import OutOfMemory, Request, Sampling, Text
from rankrefine.llm.prompts import Prompt, fold
from rankrefine.llm.tokens import open_tokenizer
from rankrefine.llm.transformers import engine as engine_module
from rankrefine.llm.transformers import label_scores

CHAT = Prompt(
    "chat", "0" * 64, ({"role": "system", "content": "rewrite the one"}, {"role": "user", "content": "{sentence}"})
)
PLAIN = Prompt("plain", "1" * 64, "the old man likes one red boat . {sentence} rewrite :")
SETTINGS = {"dtype": "float32", "device": "cpu", "token_budget": 65536}
LABELS = ["cat", "dog", "man", "never", "."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The miniature, whose tokenizer divides at spaces, and so reads a label after a space only."""
    return build_llm(tmp_path_factory.mktemp("llm"), spread=0.2)


def load(folder: Path, max_running: int = 8, prompts: Sequence[Prompt] = (CHAT, PLAIN), **settings):
    return engine_module.load(folder, prompts, Sampling(max_new_tokens=8), max_running, SETTINGS | settings, 1)


def texts(count: int = 20) -> list[Text]:
    """Prompts of both templates and of neither, of different lengths; the chats end with a space, so do the others."""
    chooser = random.Random(3)
    sentences = [" ".join(chooser.choices(WORDS, k=chooser.randint(1, 30))) for _ in range(count)]
    forms = (CHAT.fill, lambda s: PLAIN.fill(s) + " ", lambda s: f"{s} : ", lambda s: s.split()[0] + " ")
    return [forms[i % 4](sentence) for i, sentence in enumerate(sentences)]


def plain_pass(folder: Path, prompts: Sequence[Text], labels: Sequence[str]) -> np.ndarray:
    """Log-softmax of the library's logits, one prompt at a time."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.convert_tokens_to_ids(list(labels))
    rows = []
    for prompt in prompts:
        if isinstance(prompt, str):
            tokens = tokenizer(prompt, return_tensors="pt")["input_ids"]
        else:
            tokens = tokenizer.apply_chat_template(
                list(prompt), add_generation_prompt=True, return_tensors="pt", return_dict=False
            )
        with torch.inference_mode():
            rows.append(model(tokens).logits[0, -1].log_softmax(-1)[ids])
    return torch.stack(rows).numpy()


def test_scores_are_the_librarys_log_softmax(folder: Path) -> None:
    prompts = texts()
    engine = load(folder)
    assert {engine._encoder.encode_any(text).prefix for text in prompts} == {0, 1, 2}, "two templates, and no template"
    assert all(len(prefix) > 3 for prefix in engine._encoder.prefixes), "nothing was shared"
    found = engine.score(prompts, LABELS)
    expected = plain_pass(folder, prompts, LABELS)
    assert found.shape == (20, 5)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert expected.std(0).min() > 0.1, "all prompts are alike, so the test is meaningless"
    assert np.exp(found).sum(1).max() < 0.9, "the vocabulary is more than the labels"


@pytest.mark.parametrize("settings", [{"max_running": 1}, {"token_budget": 96}, {"prompts": (CHAT,)}, {"prompts": ()}])
def test_batches_their_order_and_shared_prefixes_change_nothing(
    folder: Path, settings: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, passes = texts(), []
    expected = load(folder).score(prompts, LABELS)
    engine = load(folder, **settings)
    engine.reset(settings.get("max_running", 8))  # also where the budget has no room for so many requests
    forward = label_scores.forward
    monkeypatch.setattr(label_scores, "forward", lambda *all: (passes.append(all), forward(*all))[1])
    np.testing.assert_allclose(engine.score(prompts, LABELS), expected, rtol=0, atol=1e-5)
    assert [sum(len(rows) for _, rows, _ in passes), len(passes) > 1] == [20, True]
    for _, rows, cache in passes:
        assert len(rows) <= 2 * engine.max_running
        assert len(rows) * cache.capacity <= engine.token_budget
    order = random.Random(1).sample(range(20), 20)
    other = engine.score([prompts[i] for i in order], LABELS[::-1])
    np.testing.assert_allclose(other, expected[order][:, ::-1], rtol=0, atol=1e-5)
    for i in (0, 1, 2, 3):
        np.testing.assert_allclose(engine.score([prompts[i]], LABELS), expected[i : i + 1], rtol=0, atol=1e-5)


def test_a_label_may_have_another_token_after_each_prompt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts, engine = texts(), load(folder)
    words = [[WORDS[i], WORDS[i + 1]] for i in range(20)]
    tokens = [engine.tokenizer.convert_tokens_to_ids(pair) for pair in words]
    monkeypatch.setattr(label_scores, "label_tokens", lambda *_: tokens)
    expected = np.concatenate([plain_pass(folder, [text], pair) for text, pair in zip(prompts, words, strict=True)])
    np.testing.assert_allclose(engine.score(prompts, ["x", "y"]), expected, rtol=0, atol=1e-5)


def test_scores_do_not_disturb_requests(folder: Path) -> None:
    def complete(engine) -> list:
        engine.add(Request(0, CHAT.fill("cat sees a dog"), CHAT.fill("a man"), 1.5, (1,)))
        done = []
        while not done:
            engine.score(texts(4), LABELS) if scoring else None
            done = engine.step()
        return done

    scoring = False
    expected = complete(load(folder))
    scoring = True
    assert complete(load(folder)) == expected


def test_a_model_without_a_system_role_gets_the_chat_that_generation_gives_it(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path)
    tokenizer = open_tokenizer(folder)
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    tokenizer.chat_template = refusal + tokenizer.chat_template
    tokenizer.save_pretrained(tmp_path)
    chats = [CHAT.fill(text) for text in ("cat sees a dog", "the boat")]
    found = load(tmp_path, prompts=(CHAT,)).score(chats, LABELS)
    np.testing.assert_allclose(found, plain_pass(tmp_path, [fold(c) for c in chats], LABELS), rtol=0, atol=1e-5)


def test_prompts_that_are_too_long_are_refused(folder: Path) -> None:
    long = " ".join(WORDS * 8)
    with pytest.raises(UserError, match=r"has \d+ tokens, more than the language model's context of 256 tokens"):
        load(folder).score([f"{long} : "], LABELS)
    with pytest.raises(UserError, match=r"needs 37 tokens of keys and values, but generate.token_budget is 32"):
        load(folder, token_budget=32).score([" ".join([*WORDS, ": "])], LABELS)


def test_full_memory_and_broken_logits_are_errors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load(folder)
    with torch.inference_mode():
        engine.model.lm_head.weight[3] = torch.nan
    with pytest.raises(UserError, match=r"logits are not finite; set generate\.dtype"):
        engine.score(texts(2), LABELS)
    monkeypatch.setattr("rankrefine.llm.transformers.free_memory.available", lambda: 10_000)
    with pytest.raises(OutOfMemory, match=r"exceed the 0\.0 GB of free memory"):
        engine.score(texts(2), LABELS)


def test_no_prompts_give_no_scores(folder: Path) -> None:
    assert load(folder).score([], LABELS).shape == (0, 5)
