"""Prompts as token ids, and the tokens that end a rewrite; shared by the engines that run a real model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from rankrefine.errors import UserError
from rankrefine.llm.interface import Text

# some chat templates print today's date: prompts would change at midnight
NO_CLOCK = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"

PROBES = 64  # sentences whose prompts are compared


def open_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of the model in `folder`, whose prompts do not depend on the day."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if isinstance(tokenizer.chat_template, str) and "strftime_now" in tokenizer.chat_template:
        tokenizer.chat_template = NO_CLOCK + tokenizer.chat_template
    return tokenizer


def encode(tokenizer: PreTrainedTokenizerBase, text: Text) -> list[int]:
    """Token ids of a prompt. What looks like a control token in a sentence is encoded as the text that it is.

    Raises:
        UserError: the prompt is a chat and the model has no chat template, or the template refuses it.
    """
    if isinstance(text, str):
        return tokenizer(text, split_special_tokens=True)["input_ids"]
    if tokenizer.chat_template is None:
        raise UserError(
            "generate.model has no chat template but generate.prompt is a chat; take an instruction-tuned model, or a "
            "plain prompt (plain_few_shot)."
        )
    try:
        return tokenizer.apply_chat_template(
            list(text),
            add_generation_prompt=True,
            return_dict=False,
            sanitize_control_tokens=True,
            enable_thinking=False,  # a rewrite alone; templates that know nothing of it ignore it
        )
    except (ValueError, TemplateError) as error:
        raise UserError(f"The prompt for '{ending(text)}' cannot be encoded: {error}.") from error


def ending(text: Text) -> str:
    """The last words of a prompt, to name it in a message."""
    return (text if isinstance(text, str) else text[-1]["content"])[-60:]


def stop_tokens(tokenizer: PreTrainedTokenizerBase, generation_eos: int | list[int] | None) -> set[int]:
    """Tokens that end a completion: the tokenizer's and those of the model's generation config."""
    ends = generation_eos if isinstance(generation_eos, list) else [generation_eos]
    return {tokenizer.eos_token_id, *ends} - {None}


def newline_tokens(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Tokens whose text holds a newline; a rewrite is one line."""
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
    return {token for token, text in enumerate(texts) if "\n" in text}


def decode(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int], newline: int | None) -> str:
    """The text of a completion; `newline` is the token that ended it, if it holds a newline: some end a sentence, too
    (a full stop and a newline).
    """
    if newline is None:
        return tokenizer.decode(tokens, skip_special_tokens=True)
    return tokenizer.decode([*tokens, newline], skip_special_tokens=True).partition("\n")[0]


def beginnings(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Sentences that begin as differently as the vocabulary allows."""
    every = max(1, len(tokenizer) // PROBES)
    texts = tokenizer.batch_decode([[i] for i in range(0, len(tokenizer), every)], skip_special_tokens=True)
    return ["A", "7", '"', *(text.strip() for text in texts if text.strip())]


def common_prefix(prompts: list[list[int]]) -> list[int]:
    """What all prompts begin with."""
    shared = 0
    for tokens in zip(*prompts, strict=False):
        if len(set(tokens)) > 1:
            break
        shared += 1
    return prompts[0][:shared]
