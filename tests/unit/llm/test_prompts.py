"""Prompt templates: the forms that ship, how they are filled, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rankrefine.errors import UserError
from rankrefine.llm import prompts

SHIPPED = [file.stem for file in sorted(prompts.FOLDER.glob("*.yaml"))]
SENTENCE = "A {sentence} with 'quotes' and \\1."  # what stands in a sentence is only text


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_templates_hold_the_sentence_once_and_ask_for_it_last(name: str) -> None:
    prompt = prompts.load(name)
    assert prompt.name == name
    assert prompt.shown.count("{sentence}") == 1
    filled = prompt.fill(SENTENCE)
    text = filled[-1]["content"] if prompt.chat else filled
    assert text.count(SENTENCE) == 1
    assert text.replace(SENTENCE, "{sentence}") in prompt.shown
    assert isinstance(filled, tuple if prompt.chat else str)


def test_a_record_names_the_template_and_shows_it() -> None:
    prompt = prompts.load("plain_few_shot")
    assert prompt.describe() == {
        "prompt": "plain_few_shot",
        "prompt_sha256": prompt.sha256,
        "prompt_text": prompt.template,
    }


def test_both_kinds_ship() -> None:
    assert {prompts.load(name).chat for name in SHIPPED} == {True, False}


def test_the_plain_template_has_the_exemplars_of_the_chat_and_ends_where_the_answer_begins() -> None:
    chat, plain = prompts.load("few_shot"), prompts.load("plain_few_shot")
    exemplars = [message["content"] for message in chat.template if message["role"] != "system"]
    labels = ["Sentence", "Rewrite"] * len(exemplars)
    lines = [f"{label}: {text}" for label, text in zip(labels, exemplars, strict=False)]
    assert [line for line in plain.template.splitlines()[1:] if line] == [*lines, "Rewrite:"]
    assert plain.fill("x").endswith("Sentence: x\nRewrite:")


def test_the_hash_is_of_the_file_and_of_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    found = []
    for comment in ("# one\n", "# two\n"):
        file.write_text(f'{comment}text: "Say: {{sentence}}"', encoding="utf-8")
        prompt = prompts.load(str(file))
        assert prompt.sha256 == prompts.digest(str(file)) == hashlib.sha256(file.read_bytes()).hexdigest()
        assert (prompt.name, prompt.chat, prompt.shown) == ("mine", False, "Say: {sentence}")
        found.append(prompt.sha256)
    assert found[0] != found[1]


def test_a_chat_is_shown_with_its_roles(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text("messages: [{role: system, content: Be brief.}, {role: user, content: 'Say {sentence}!'}]")
    prompt = prompts.load(str(file))
    assert prompt.shown == "system: Be brief.\nuser: Say {sentence}!"
    assert prompt.fill("no")[-1] == {"role": "user", "content": "Say no!"}
    assert prompt.template[-1]["content"] == "Say {sentence}!"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text: [", "mine.yaml is not valid YAML"),
        ("\xff", "mine.yaml is not UTF-8 (byte 0); save it as UTF-8."),
        ("text: x\ntext: y", "mine.yaml: key 'text' appears twice, in line 1 and line 2; keep one."),
        ("", "mine.yaml is not a prompt template: it needs either a list `messages` or a string `text`."),
        ("[1]", "mine.yaml is not a prompt template: it needs either"),
        ("{text: '{sentence}', messages: []}", "it needs either a list `messages` or a string `text`."),
        ("{text: '{sentence}', name: x}", "it needs either a list `messages` or a string `text`."),
        ("text: 3", "mine.yaml: `text` must be a string that contains {sentence}."),
        ("text: Rewrite this.", "mine.yaml: `text` must be a string that contains {sentence}."),
        ("text: '{sentence}: '", "mine.yaml: `text` must not end with a space or a newline; write it as a block"),
        ("text: |\n  {sentence}\n", "mine.yaml: `text` must not end with a space or a newline"),
        ("messages: {}", "mine.yaml: the last message must have the role user and contain {sentence}."),
        ("messages: 3", "mine.yaml is not a prompt template: every message needs a role and a content."),
        ("messages: [{role: user}]", "every message needs a role and a content."),
        (
            "messages: [{role: user, content: Say it.}]",
            "the last message must have the role user and contain {sentence}.",
        ),
        ("messages: [{role: system, content: '{sentence}'}]", "the last message must have the role user and contain"),
        (
            "messages: [{role: system, content: '{sentence}'}, {role: user, content: '{sentence}'}]",
            "mine.yaml: only the last message may contain {sentence}.",
        ),
    ],
)
def test_a_bad_template_is_refused_in_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError) as error:
        prompts.load(str(tmp_path / "mine.yaml"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(
        UserError,
        match=r"generate.prompt: there is no prompt template 'nine_shot'; use few_shot, .*, or the path of a",
    ):
        prompts.load("nine_shot")
