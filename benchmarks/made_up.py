"""Models of real shapes with random weights, their tokenizers and sentences, made on the spot without downloads.

Weights are initialised directly on the device. They are random but not arbitrary: as in trained models, attention
prefers some tokens, a few dozen next tokens are plausible, and some completions end early. A vocabulary has the real
size; most of it are made-up words of two and three syllables, of which the sentences consist. All else, such as prompt
templates, is spelled in letters and syllables.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from rankrefine.llm.transformers import engine as engines
from rankrefine.llm.transformers import precision

LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "smollm2-135m": {
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 100000.0,
        "tie_word_embeddings": True,
    },
    "llama-3-8b": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
    },
    "tiny-llama": {
        "vocab_size": 1024,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "initializer_range": 0.14,  # otherwise such narrow layers change little, and the model repeats its last token
        "tie_word_embeddings": True,
    },
}
ENCODERS: dict[str, dict[str, Any]] = {
    "bert-base": {},  # the defaults of transformers
    "tiny-bert": {
        "vocab_size": 1024,
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "max_position_embeddings": 64,
    },
}
SPREAD = 2.5  # standard deviation of logits; the usual initialisation gives nearly equal probabilities
SHARP = 2.0  # standard deviation of attention scores
EVERY = 60  # each token of this many ends a completion, besides those of the tokenizer

SYLLABLES = ["".join(letters) for letters in product("bcdfghjklmnpqrstvwxz", "aeiou")]
SPACE = "Ġ"  # of a byte-level vocabulary
CHAT_TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def language_model(shape: str, device: torch.device | str, dtype: torch.dtype, seed: int = 0) -> PreTrainedModel:
    """Return a model of `LANGUAGE_MODELS` in evaluation mode; a seed gives the same weights on the same device."""
    config = LlamaConfig(**LANGUAGE_MODELS[shape], bos_token_id=None, eos_token_id=None)
    with torch.random.fork_rng(_devices(device)), torch.device(device):
        torch.manual_seed(seed)
        model = LlamaForCausalLM._from_config(config, dtype=dtype).eval()
    variance = config.initializer_range**2 * config.hidden_size  # of a product of a weight matrix and normed states
    with torch.no_grad():
        model.model.norm.weight.fill_(SPREAD / variance**0.5)
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight.mul_(SHARP / variance)
    model.generation_config.eos_token_id = list(range(EVERY, config.vocab_size, EVERY))
    model.generation_config.pad_token_id = config.vocab_size - 1
    return model


def tokenizer(shape: str) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a language model, a byte-level BPE with a chat template."""
    merges = [tuple(syllable) for syllable in SYLLABLES]
    merges += [(SPACE, syllable) for syllable in SYLLABLES]
    merges += [(SPACE + word[:-2], word[-2:]) for word in words(shape)]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *("".join(merge) for merge in merges)]
    raw = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    start, end, padding = CHAT_TOKENS
    fast = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=end, pad_token=padding, additional_special_tokens=[start]
    )
    fast.chat_template = CHAT
    return fast


def encoder(shape: str, folder: Path, device: torch.device | str = "cpu", dropout: float = 0.1) -> Path:
    """Write a model of `ENCODERS` with mean pooling as a sentence-transformers folder, and return the folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    with TemporaryDirectory(dir=folder.parent) as bare:
        _transformer(BertModel, shape, Path(bare), device, dropout)
        transformer = Transformer(bare)
        pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
        model = SentenceTransformer(modules=[transformer, pooling], device="cpu")
        model.save_pretrained(str(folder), create_model_card=False)
    return folder


def masked_language_model(shape: str, folder: Path, device: torch.device | str = "cpu", dropout: float = 0.1) -> Path:
    """Write the bare transformer of `encoder` with a head for masked language modelling; return the folder."""
    _transformer(BertForMaskedLM, shape, folder, device, dropout)
    return folder


def _transformer(
    kind: type[PreTrainedModel], shape: str, folder: Path, device: torch.device | str, dropout: float
) -> None:
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    config = BertConfig(**ENCODERS[shape], **rates)
    with torch.random.fork_rng(_devices(device)), torch.device(device):
        torch.manual_seed(0)
        kind(config).save_pretrained(folder)
    _word_pieces(shape, config).save_pretrained(folder)


def _word_pieces(shape: str, config: BertConfig) -> PreTrainedTokenizerBase:
    pieces = [*BERT_TOKENS, *map(chr, range(33, 127)), *(f"##{chr(code)}" for code in range(33, 127)), *words(shape)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    raw = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece()
    frame = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    raw.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=frame)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), BERT_TOKENS, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=config.max_position_embeddings, **names)


def words(shape: str) -> list[str]:
    """Return the made-up words of a model's vocabulary, one token each."""
    if shape in ENCODERS:
        count = BertConfig(**ENCODERS[shape]).vocab_size - len(BERT_TOKENS) - 2 * (127 - 33)
    else:
        count = LANGUAGE_MODELS[shape]["vocab_size"] - 256 - 2 * len(SYLLABLES) - len(CHAT_TOKENS)
    every = chain.from_iterable(product(SYLLABLES, repeat=length) for length in (2, 3))
    return ["".join(syllables) for syllables in islice(every, count)]


def chains(shape: str, count: int, rewrites: int, seed: int = 0) -> list[list[str]]:
    """Return lists of a sentence and its rewrites, each of which changes a word or two of the one before it."""
    known, generator, lists = words(shape), random.Random(seed), []
    for _ in range(count):
        sentence = generator.choices(known, k=generator.randint(6, 20))
        lists.append([" ".join(sentence) + "."])
        for _ in range(rewrites):
            for place in generator.sample(range(len(sentence)), generator.randint(1, 2)):
                sentence[place] = generator.choice(known)
            lists[-1].append(" ".join(sentence) + ".")
    return lists


@contextmanager
def opened(shape: str) -> Iterator[None]:
    """Let the transformers engine open a made-up model in place of a folder."""

    def open_made_up(
        folder: Path | None, device: str, dtype: str, threads: int | None
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        if threads:
            torch.set_num_threads(threads)
        place = precision.choose_device(device)
        return language_model(shape, place, precision.choose_dtype(dtype, place)), tokenizer(shape)

    with mock.patch.object(engines, "open_model", open_made_up):
        yield


def _devices(device: torch.device | str) -> list[torch.device]:
    """Return the devices whose random state a seed changes, besides the processor."""
    return [torch.device(device)] if torch.device(device).type == "cuda" else []
