"""Prompts as token ids, and the tokens that end a completion; shared by the engines that run a real model."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from rankrefine.errors import UserError
from rankrefine.llm.interface import Text

# some chat templates print the current date: prompts would change at midnight
NO_CLOCK = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"
PROBES = 64  # sentences whose prompts are compared to find the common prefix


def open_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Open the tokenizer of the model in `folder`; its prompts do not depend on the date."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if isinstance(tokenizer.chat_template, str) and "strftime_now" in tokenizer.chat_template:
        tokenizer.chat_template = NO_CLOCK + tokenizer.chat_template
    return tokenizer


def encode(tokenizer: PreTrainedTokenizerBase, text: Text) -> list[int]:
    """Return the token ids of a prompt. Control tokens in a sentence are encoded as plain text.

    Raises:
        UserError: the prompt is a chat and the model has no chat template, or the template rejects it.
    """
    if isinstance(text, str):
        return tokenizer(text, split_special_tokens=True)["input_ids"]
    if tokenizer.chat_template is None:
        raise UserError(
            "generate.model has no chat template, but generate.prompt is a chat; use an instruction-tuned model, or a "
            "plain prompt (plain_few_shot)."
        )
    try:
        return tokenizer.apply_chat_template(
            list(text),
            add_generation_prompt=True,
            return_dict=False,
            sanitize_control_tokens=True,
            enable_thinking=False,  # ignored by templates without it
        )
    except (ValueError, TemplateError) as error:
        raise UserError(f"The prompt for '{ending(text)}' cannot be encoded: {error}.") from error


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
