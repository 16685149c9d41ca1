"""The vLLM engine above a stand-in for vLLM: how each request ends its text."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from miniature import chat

from rankrefine.errors import UserError
from rankrefine.llm import prompts
from rankrefine.llm.interface import Request, Sampling
from rankrefine.llm.tokens import encode, open_tokenizer
from rankrefine.llm.vllm import engine as engine_module
from rankrefine.llm.vllm.engine import VLLMEngine
from rankrefine.llm.vllm.guided_llm import Guided, GuidedLLM

WORDS = ["</s>", "<end>", "A", " cat", ".\n", "\n", "."]


class Tokenizer:
    eos_token_id = 0

    def __len__(self) -> int:
        return len(WORDS)

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        return {"input_ids": [len(text)]}

    def apply_chat_template(self, *_: object, sanitize_control_tokens: bool) -> None:
        raise NotImplementedError

    def decode(self, tokens: list[int], **_: object) -> str:
        return "".join(WORDS[token] for token in tokens)

    def batch_decode(self, rows: list[list[int]]) -> list[str]:
        return [self.decode(row) for row in rows]


@pytest.fixture
def guided() -> SimpleNamespace:
    """Keeps what is added; `step` completes it with two words and the token `stop`."""
    guided = SimpleNamespace(added=[], stop=None, capacity=10_000, ends=lambda: (0, 1))

    def add(id: object, *arguments: Any) -> None:
        guided.added.append((id, *arguments))

    guided.add = add
    guided.step = lambda: [Guided(guided.added[-1][0], "", (2, 3), guided.stop, redone=0)]
    return guided


@pytest.mark.parametrize(
    ("one_line", "stop", "expected"),
    [
        (True, 1, ("end", "A cat")),
        (True, 4, ("newline", "A cat.")),
        (True, 5, ("newline", "A cat")),
        (True, None, ("length", "A cat")),
        (False, 0, ("end", "A cat")),
    ],
)
def test_each_request_says_how_its_text_ends(guided: Any, one_line: bool, stop: int | None, expected: tuple) -> None:
    engine = VLLMEngine(guided, Tokenizer(), Sampling(), max_running=4, template=10)
    engine.add(Request("id", "a prompt", None, 1.5, ("key",), one_line))
    assert guided.added[0][:3] == ("id", [8], None)
    assert set(guided.added[0][-1]) == ({0, 1, 4, 5} if one_line else {0, 1})
    guided.stop = stop
    (completion,) = engine.step()
    assert (completion.stop, completion.text) == expected
    assert completion.tokens == (2, 3)


def test_the_longest_template_limits_the_requests(guided: Any) -> None:
    sizes = [VLLMEngine(guided, Tokenizer(), Sampling(), 99, template).max_running for template in (10, 1000)]
    assert sizes == [10_000 // (2 * (template + 200 + 32)) for template in (10, 1000)]


@pytest.mark.parametrize("name", ["Qwen", "Gemma"])
def test_a_model_without_a_system_role_gets_the_system_message_in_the_user_message(
    guided: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = chat.build(tmp_path, (chat.TAKE_SYSTEM | chat.TAKE_NO_SYSTEM)[name])
    monkeypatch.setattr(engine_module, "find_spec", lambda name: name)
    monkeypatch.setattr(engine_module, "AutoConfig", SimpleNamespace(from_pretrained=lambda folder: None))
    monkeypatch.setattr(engine_module, "_options", lambda *_: {})
    monkeypatch.setattr(engine_module, "GuidedLLM", lambda *_: guided)
    prompt = prompts.load("few_shot")
    engine = engine_module.load(folder, [prompt], Sampling(), 4, {}, None)
    engine.add(Request("id", prompt.fill("A cat."), None, 1.5, ("key",)))
    expected = prompt.fill("A cat.") if name == "Qwen" else prompts.fold(prompt.fill("A cat."))
    assert guided.added[0][1] == encode(engine.tokenizer, expected)
    assert engine.folds is (name == "Gemma")


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VLLMEngine:
    """An engine on vLLM as it answers: the label tokens and the sampled one, of each prompt in order.

    The log-probability of a token is minus the token, minus the length of the prompt.
    """
    calls: list[dict[str, Any]] = []

    def generate(rows: list[list[int]], params: list[dict[str, Any]], use_tqdm: bool) -> list[SimpleNamespace]:
        calls.extend(params)
        chances = [
            {token: SimpleNamespace(logprob=-float(token + len(row))) for token in (0, *given["logprob_token_ids"])}
            for row, given in zip(rows, params, strict=True)
        ]
        return [SimpleNamespace(outputs=[SimpleNamespace(logprobs=[chance])]) for chance in chances]

    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=dict))
    monkeypatch.setitem(sys.modules, "vllm.inputs", SimpleNamespace(tokens_input=lambda tokens: tokens))
    guided = object.__new__(GuidedLLM)
    guided.llm, guided.max_length, guided.capacity = SimpleNamespace(generate=generate), 100, 10_000
    guided.ends, guided.calls = (lambda: (0,)), calls
    return VLLMEngine(guided, open_tokenizer(chat.build(tmp_path, chat.TAKE_SYSTEM["Qwen"])), Sampling(), 4, 10)


def test_scores_are_those_of_the_label_tokens_after_each_prompt(scored: VLLMEngine) -> None:
    texts = ["Similar?", prompts.load("few_shot").fill("A.")[-1:], "No"]
    labels = list("210")
    lengths = [len(encode(scored.tokenizer, text)) for text in texts]
    tokens = scored.tokenizer.convert_tokens_to_ids(labels)
    expected = -np.array([[token + length for token in tokens] for length in lengths], dtype=np.float32)
    found = scored.score(texts, labels)
    assert np.array_equal(found, expected) and found.dtype == np.float32
    assert [(call["max_tokens"], call["logprob_token_ids"]) for call in scored.guided.calls] == [(1, tokens)] * 3
    assert scored.score([], labels).shape == (0, 3)


def test_a_prompt_without_room_for_an_answer_is_refused(scored: VLLMEngine) -> None:
    scored.score(["x" * 99], ["1"])
    with pytest.raises(UserError, match=r"prompt for 'x{60}' is too long: 100 tokens and the next one exceed"):
        scored.score(["y", "x" * 100], ["1"])
    with pytest.raises(UserError, match="Label '10' is not a token of its own"):
        scored.score(["y"], ["10"])
