"""Prompts as token ids, and the tokens that end a completion; shared by the engines that run a real model."""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from rankrefine.errors import UserError, about, reason
from rankrefine.llm.interface import Text
from rankrefine.llm.prompts import Prompt, fold

# some chat templates print the current date: prompts would change at midnight
NO_CLOCK = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"
REFUSALS = (TemplateError, ValueError, TypeError, LookupError)  # of chat templates
WAY_OUT = "let messages of user and assistant alternate in it, or use a plain prompt"
FOLDED = {"system_message": "in the next user message"}  # in records, see `folds_system`
ENDING = 16  # characters of a plain prompt with which the first token of an answer may merge
PROBES = 64  # sentences whose prompts are compared to find the common prefix


def open_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Open the tokenizer of the model in `folder`; its prompts do not depend on the date."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if isinstance(tokenizer.chat_template, str) and "strftime_now" in tokenizer.chat_template:
        tokenizer.chat_template = NO_CLOCK + tokenizer.chat_template
    return tokenizer


def folds_system(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> bool:
    """Return True if the model's chat template takes no system message: it refuses one, or leaves it out.

    `encode` then folds the system messages into the user messages.

    Raises:
        UserError: the template refuses a prompt also then, or leaves out another message; the sentence begins with the
            prompt's key of the configuration.
    """
    chats = [(prompt.key, prompt.fill("A sentence.")) for prompt in prompts if prompt.chat]
    folds = not all(_takes_system(tokenizer, chat) for _, chat in chats)
    for key, chat in chats:
        with about(key):
            encode(tokenizer, chat, folds)
            if lost := _left_out(tokenizer, fold(chat) if folds else chat):
                raise UserError(
                    f"the chat template of generate.model leaves out the {lost[0]['role']} message "
                    f"'{ending(lost[:1])}'; {WAY_OUT}."
                )
    return folds


def _takes_system(tokenizer: PreTrainedTokenizerBase, chat: Text) -> bool:
    if all(message["role"] != "system" for message in chat):
        return True
    try:
        return all(message["role"] != "system" for message in _left_out(tokenizer, chat))
    except REFUSALS:
        return False


def _left_out(tokenizer: PreTrainedTokenizerBase, chat: Text) -> Text:
    """Return the messages whose content does not change the prompt."""

    def render(messages: Iterable[dict[str, str]]) -> str:
        return _apply(tokenizer, messages, tokenize=False)

    whole = render(chat)
    others = ((*chat[:i], chat[i] | {"content": f"{chat[i]['content']} x"}, *chat[i + 1 :]) for i in range(len(chat)))
    return tuple(message for message, other in zip(chat, others, strict=True) if render(other) == whole)


def encode(tokenizer: PreTrainedTokenizerBase, text: Text, folds: bool = False) -> list[int]:
    """Return the token ids of a prompt. Control tokens in a sentence are encoded as plain text.

    Args:
        folds: system messages become parts of user messages, see `folds_system`.

    Raises:
        UserError: the prompt is a chat and the model has no chat template, or the template rejects it.
    """
    if isinstance(text, str):
        return tokenizer(text, split_special_tokens=True)["input_ids"]
    if tokenizer.chat_template is None:
        raise UserError(
            "generate.model has no chat template, but the prompt is a chat; use an instruction-tuned model, or a "
            "plain prompt."
        )
    try:
        return _apply(tokenizer, fold(text) if folds else text, return_dict=False, sanitize_control_tokens=True)
    except REFUSALS as error:
        refusal = f"the chat template of generate.model refuses the prompt for '{ending(text)}' ({reason(error)})"
        raise UserError(f"{refusal}; {WAY_OUT}.") from error


def label_tokens(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Text], labels: Sequence[str], folds: bool = False
) -> list[list[int]]:
    """Return for each prompt the tokens of all labels, each as the first token of an answer, [prompts, labels].

    Raises:
        UserError: a label is not one token there, or has the same token as another one.
    """
    found: dict[str | None, list[int]] = {}
    for text in prompts:
        end = text[-ENDING:] if isinstance(text, str) else None  # all chats end alike
        if end not in found:
            found[end] = _answers(tokenizer, text, labels, folds)
    return [found[text[-ENDING:] if isinstance(text, str) else None] for text in prompts]


def _answers(tokenizer: PreTrainedTokenizerBase, text: Text, labels: Sequence[str], folds: bool) -> list[int]:
    """Return the tokens of all labels after one prompt: whether a label is one token depends on what precedes it."""
    if isinstance(text, str):
        start, options = text, {"split_special_tokens": True}
    else:
        chat = fold(text) if folds else text
        start, options = _apply(tokenizer, chat, tokenize=False), {"add_special_tokens": False}
    before, tokens = tokenizer(start, **options)["input_ids"], []
    for label in labels:
        after = tokenizer(start + label, **options)["input_ids"]
        if after[:-1] != before or after[-1] in (*tokens, tokenizer.unk_token_id):
            read = tokenizer.convert_ids_to_tokens(after[len(common_prefix([before, after])) :])
            raise UserError(
                f"Label '{label}' is not a token of its own after the prompt for '{ending(text)}': generate.model "
                f"reads it as {' '.join(map(repr, read)) or 'nothing'}; use single digits or letters as labels, or a "
                "prompt with another ending."
            )
        tokens.append(after[-1])
    return tokens


def _apply(tokenizer: PreTrainedTokenizerBase, chat: Iterable[dict[str, str]], **options: bool) -> Any:
    # `enable_thinking` is ignored by templates without it
    return tokenizer.apply_chat_template(list(chat), add_generation_prompt=True, enable_thinking=False, **options)


def ending(text: Text) -> str:
    """Return the last characters of a prompt, for messages."""
    return (text if isinstance(text, str) else text[-1]["content"])[-60:]


def stop_tokens(tokenizer: PreTrainedTokenizerBase, generation_eos: int | list[int] | None) -> set[int]:
    """Tokens that end a completion: those of the tokenizer and of the model's generation config."""
    ends = generation_eos if isinstance(generation_eos, list) else [generation_eos]
    return {tokenizer.eos_token_id, *ends} - {None}


def newline_tokens(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Tokens whose text contains a newline."""
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
    return {token for token, text in enumerate(texts) if "\n" in text}


def decode(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int], newline: int | None) -> str:
    """Decode a completion. If the token `newline` ended it, keep the text before the newline, such as a full stop."""
    if newline is None:
        return tokenizer.decode(tokens, skip_special_tokens=True)
    return tokenizer.decode([*tokens, newline], skip_special_tokens=True).partition("\n")[0]


def beginnings(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return sentences that begin with tokens from all over the vocabulary."""
    every = max(1, len(tokenizer) // PROBES)
    texts = tokenizer.batch_decode([[i] for i in range(0, len(tokenizer), every)], skip_special_tokens=True)
    return ["A", "7", '"', *(text.strip() for text in texts if text.strip())]


def common_prefix(prompts: list[list[int]]) -> list[int]:
    """Return the longest common beginning of all prompts."""
    equal = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*prompts, strict=False))
    return [tokens[0] for tokens in equal]
