"""The vLLM engine above a stand-in for vLLM: how each request ends its text."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from miniature import chat

from rankrefine.llm import prompts
from rankrefine.llm.interface import Request, Sampling
from rankrefine.llm.tokens import encode
from rankrefine.llm.vllm import engine as engine_module
from rankrefine.llm.vllm.engine import VLLMEngine
from rankrefine.llm.vllm.guided_llm import Guided

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
