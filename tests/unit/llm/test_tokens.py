"""Prompts as the model's chat template writes them: with its system role, or without where it has none."""

from __future__ import annotations

from pathlib import Path

import pytest
from miniature import chat

from rankrefine.errors import UserError
from rankrefine.llm import prompts
from rankrefine.llm.prompts import Prompt
from rankrefine.llm.tokens import encode, folds_system, open_tokenizer

FEW_SHOT = prompts.load("few_shot")
SYSTEM, FIRST = (message["content"] for message in FEW_SHOT.template[:2])


def a_chat(*messages: tuple[str, str]) -> Prompt:
    return Prompt("test", "0" * 64, tuple({"role": role, "content": content} for role, content in messages))


def text(tokenizer, prompt: Prompt, folds: bool) -> str:
    return tokenizer.decode(encode(tokenizer, prompt.fill("A cat."), folds))


@pytest.mark.parametrize("name", chat.TAKE_SYSTEM)
def test_a_template_with_a_system_role_gets_the_messages_as_they_are(tmp_path: Path, name: str) -> None:
    tokenizer = open_tokenizer(chat.build(tmp_path, chat.TAKE_SYSTEM[name]))
    assert not folds_system(tokenizer, [FEW_SHOT])
    messages = list(FEW_SHOT.fill("A cat."))
    expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert text(tokenizer, FEW_SHOT, folds=False) == expected
    assert SYSTEM.lower() in expected.lower()


@pytest.mark.parametrize("name", chat.TAKE_NO_SYSTEM)
def test_without_a_system_role_the_first_user_message_begins_with_the_system_message(
    tmp_path: Path, name: str
) -> None:
    tokenizer = open_tokenizer(chat.build(tmp_path, chat.TAKE_NO_SYSTEM[name]))
    assert folds_system(tokenizer, [FEW_SHOT])
    written = text(tokenizer, FEW_SHOT, folds=True)
    assert written.count(SYSTEM) == 1
    assert f"<|user|>{SYSTEM}\n\n{FIRST}<|end|><|assistant|>" in written
    assert written.endswith("<|end|><|user|>A cat.<|end|><|assistant|>")
    for message in FEW_SHOT.template[2:-1]:
        assert written.count(f"<|{message['role']}|>{message['content']}<|end|>") == 1


@pytest.mark.parametrize("name", [*chat.TAKE_SYSTEM, *chat.TAKE_NO_SYSTEM])
def test_prompts_without_a_system_message_are_never_changed(tmp_path: Path, name: str) -> None:
    tokenizer = open_tokenizer(chat.build(tmp_path, (chat.TAKE_SYSTEM | chat.TAKE_NO_SYSTEM)[name]))
    some = [prompts.load("paper_like"), prompts.load("plain_few_shot"), a_chat(("user", "Say {sentence}"))]
    assert not folds_system(tokenizer, some)
    for prompt in some:
        assert encode(tokenizer, prompt.fill("A cat."), True) == encode(tokenizer, prompt.fill("A cat."))


def test_every_system_message_goes_into_the_next_user_message() -> None:
    prompt = a_chat(
        *(("system", "a"), ("system", "b"), ("assistant", "c"), ("user", "d"), ("system", "e")),
        ("user", "{sentence}"),
    )
    assert (
        prompts.fold(prompt.fill("f"))
        == a_chat(("assistant", "c"), ("user", "a\n\nb\n\nd"), ("user", "e\n\nf")).template
    )
    assert prompts.fold("plain") == "plain"


def test_a_later_system_message_that_is_left_out_is_folded_with_the_first(tmp_path: Path) -> None:
    later = "{% for message in messages if message['role'] != 'system' %}"
    template = chat.TAKE_SYSTEM["Qwen"].replace("{% for message in messages %}", later)
    tokenizer = open_tokenizer(chat.build(tmp_path, template))
    prompt = a_chat(("system", "one"), ("user", "b"), ("assistant", "c"), ("system", "two"), ("user", "{sentence}"))
    assert folds_system(tokenizer, [prompt])
    written = text(tokenizer, prompt, folds=True)
    assert "<|user|>one\n\nb<|end|>" in written and "<|user|>two\n\nA cat.<|end|>" in written


@pytest.mark.parametrize(
    ("template", "messages", "refusal"),
    [
        (
            chat.TAKE_NO_SYSTEM["Gemma"],
            [("system", "a"), ("user", "b"), ("user", "{sentence}")],
            r"refuses the prompt for 'A sentence\.' \(Conversation roles must alternate user/assistant/",
        ),
        (
            chat.TAKE_NO_SYSTEM["Mistral"],
            [("assistant", "b"), ("user", "{sentence}")],
            r"refuses the prompt for 'A sentence\.' \(Conversation roles must alternate user/assistant/",
        ),
        (
            chat.TAKE_NO_SYSTEM["Phi 3"],
            [("developer", "Be brief."), ("user", "{sentence}")],
            "leaves out the developer message 'Be brief.'",
        ),
        (
            "{% for m in messages %}{% for part in m['content'] %}{{ part['text'] }}{% endfor %}{% endfor %}",
            [("user", "{sentence}")],
            "leaves out the user message 'A sentence.'",
        ),
        ("{{ messages + 1 }}", [("user", "{sentence}")], r"refuses the prompt for 'A sentence\.' \(can only concat"),
        ("{% if", [("user", "{sentence}")], r"refuses the prompt for 'A sentence\.' \("),
    ],
)
def test_what_no_template_takes_is_one_sentence_with_a_way_out(
    tmp_path: Path, template: str, messages: list[tuple[str, str]], refusal: str
) -> None:
    tokenizer = open_tokenizer(chat.build(tmp_path, template))
    with pytest.raises(UserError, match=f"^The chat template of generate.model {refusal}") as error:
        folds_system(tokenizer, [a_chat(*messages)])
    assert str(error.value).endswith(
        "; let messages of user and assistant alternate in generate.prompt, or use a plain prompt (plain_few_shot)."
    )
