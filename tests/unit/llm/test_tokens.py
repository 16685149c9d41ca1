"""Prompts as the model's chat template writes them: with its system role, or without where it has none."""

from __future__ import annotations

from pathlib import Path

import pytest
from miniature import chat

from rankrefine.errors import UserError
from rankrefine.llm import prompts
from rankrefine.llm.prompts import Prompt
from rankrefine.llm.tokens import encode, folds_system, label_tokens, open_tokenizer

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
    with pytest.raises(UserError, match=f"^generate.prompt: the chat template of generate.model {refusal}") as error:
        folds_system(tokenizer, [a_chat(*messages)])
    assert str(error.value).endswith("; let messages of user and assistant alternate in it, or use a plain prompt.")


def a_tokenizer(vocabulary: list[str], merges: list[tuple[str, str]], spaces: bool):
    """A BPE tokenizer; with `spaces` it writes spaces as ▁ and puts one before the text, as SentencePiece does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE({token: i for i, token in enumerate(vocabulary)}, merges, unk_token="?"))
    if spaces:
        raw.pre_tokenizer, raw.decoder = pre_tokenizers.Metaspace(split=False), decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="?")


SPACED = a_tokenizer(
    ["?", "A", ":", "\u2581", "0", "1", "3", "10", "\u25813"], [("1", "0"), ("\u2581", "3")], spaces=True
)


def test_a_label_is_read_as_the_continuation_of_its_prompt() -> None:
    """Alone the label would get a space in front, and with it another token."""
    (alone,) = SPACED("3")["input_ids"]
    assert SPACED.convert_ids_to_tokens([alone]) == ["\u25813"]
    found = label_tokens(SPACED, ["A:", "A: 1", "A:"], ["3", "10", " 3"])
    assert [SPACED.convert_ids_to_tokens(row) for row in found] == [["3", "10", "\u25813"]] * 3
    assert label_tokens(SPACED, [], ["3"]) == []


@pytest.mark.parametrize(
    ("prompt", "labels", "label", "read"),
    [
        ("A:", ["1", "13"], "13", "'1' '3'"),
        ("A:", ["3", " 1"], " 1", "'\u2581' '1'"),
        ("A: 1", ["3", "0"], "0", "'10'"),
        ("A:", ["3", "B"], "B", "'?'"),
        ("A:", ["1", "3", "1"], "1", "'1'"),
        ("A:", [""], "", "nothing"),
    ],
    ids=["split", "a space of its own", "merged with the prompt", "unknown", "twice", "empty"],
)
def test_a_label_that_is_not_a_token_of_its_own_is_refused(
    prompt: str, labels: list[str], label: str, read: str
) -> None:
    with pytest.raises(UserError) as error:
        label_tokens(SPACED, ["A:", prompt], labels)
    assert str(error.value) == (
        f"Label '{label}' is not a token of its own after the prompt for '{prompt}': generate.model reads it as "
        f"{read}; use single digits or letters as labels, or a prompt with another ending."
    )


@pytest.mark.parametrize("name", [*chat.TAKE_SYSTEM, *chat.TAKE_NO_SYSTEM])
def test_labels_follow_the_beginning_of_the_answer_in_a_chat(tmp_path: Path, name: str) -> None:
    tokenizer = open_tokenizer(chat.build(tmp_path, (chat.TAKE_SYSTEM | chat.TAKE_NO_SYSTEM)[name]))
    folds = folds_system(tokenizer, [FEW_SHOT])
    chats = [FEW_SHOT.fill("A cat."), FEW_SHOT.fill("Is it </s>?")]
    assert label_tokens(tokenizer, chats, list("0A"), folds) == [tokenizer.convert_tokens_to_ids(["0", "A"])] * 2
    with pytest.raises(UserError, match=r"^Label '10' .* after the prompt for 'A cat\.': .* reads it as '1' '0';"):
        label_tokens(tokenizer, chats, ["1", "10"], folds)
