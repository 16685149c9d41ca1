"""A tiny random chat model for tests of the transformers engine: Llama with grouped heads and a word vocabulary."""

from __future__ import annotations

from pathlib import Path

WORDS = (
    *("a", "the", "one", "two", "old", "young", "red", "blue", "cat", "dog", "bird", "man", "woman", "child", "boat"),
    *("house", "river", "road", "sees", "finds", "takes", "likes", "leaves", "with", "under", "near", "quickly"),
    *("slowly", "today", "never", "always", "and", "but", ".", ",", "?"),
)
TEMPLATE = (
    "{% for message in messages %}<s> {{ message['role'] }} : {{ message['content'] }} </s> {% endfor %}"
    "{% if add_generation_prompt %}<s> assistant : {% endif %}"
)


def build(folder: Path, seed: int = 0, spread: float = 0.6) -> Path:
    """Write a model folder: 3 layers, 4 query and 2 key heads, 43-odd words; float32 random weights.

    Args:
        spread: standard deviation of the weights. The usual 0.02 gives nearly equal probabilities, and a near-tie at
            every step; the larger, the more rounding errors are magnified.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<unk>", "system", "user", "assistant", ":", "rewrite", *WORDS])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=spread,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
