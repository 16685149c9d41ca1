"""A small tokenizer with a chat template of choice: one token per byte, so that decoding gives the prompt's text."""

from __future__ import annotations

from pathlib import Path

_TURNS = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] | trim }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_ALTERNATE = (
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% endfor %}"
)
_TAKE_FIRST = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
    "{% set messages = messages[1:] %}{% else %}{% set system = 'You are a helpful assistant.' %}{% endif %}"
)
TAKE_SYSTEM = {  # templates in the manner of …
    "Zephyr": _TURNS,
    "Qwen": _TAKE_FIRST + "<|system|>{{ system }}<|end|>" + _TURNS,
    "Llama 2": _TAKE_FIRST + _ALTERNATE + "<<SYS>>{{ system | upper }}<</SYS>>" + _TURNS,
}
TAKE_NO_SYSTEM = {
    "Gemma": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}" + _ALTERNATE + _TURNS
    ),
    "Mistral": "{{ bos_token }}" + _ALTERNATE + _TURNS,
    "Phi 3": _TURNS.replace(
        "{% for message in messages %}", "{% for message in messages if message['role'] in ('user', 'assistant') %}"
    ),
    "a constant system message": (
        "{% if messages[0]['role'] == 'system' %}{% set messages = messages[1:] %}{% endif %}"
        "<|system|>You are a helpful assistant.<|end|>" + _TURNS
    ),
}


def build(folder: Path, template: str) -> Path:
    """Write the tokenizer into a model folder."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = [f"<|{name}|>" for name in ("user", "assistant", "system")]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<|begin|>", eos_token="<|end|>", additional_special_tokens=special
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder
