"""Scores of labels as answers, in forward passes of whole prompts."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from rankrefine.errors import UserError
from rankrefine.llm.guidance import NOT_FINITE
from rankrefine.llm.interface import Text
from rankrefine.llm.tokens import ending, label_tokens
from rankrefine.llm.transformers import free_memory, shared_prefix
from rankrefine.llm.transformers.packed_forward import Row, capacity, forward
from rankrefine.llm.transformers.prompt_encoder import Encoded, PromptEncoder


@torch.inference_mode()
def score(
    model: PreTrainedModel,
    encoder: PromptEncoder,
    prefixes: Sequence[shared_prefix.Prefix],
    prompts: Sequence[Text],
    labels: Sequence[str],
    most: int,
    token_budget: int,
) -> np.ndarray:
    """Return log-probabilities of the labels, float32 [prompts, labels]; see `interface`.

    Args:
        prefixes: keys and values of the encoder's prefixes. A prompt of no template has no prefix.
        most: maximum number of prompts per forward pass.
        token_budget: maximum number of tokens whose keys and values are stored at the same time.
    """
    tokens = torch.tensor(label_tokens(encoder.tokenizer, prompts, labels, encoder.folds), device=model.device)
    encoded = [encoder.encode_any(text) for text in prompts]
    for text, prompt in zip(prompts, encoded, strict=True):
        _check_length(text, prompt, encoder, shared_prefix.longest(model), token_budget)
    scores = np.empty((len(prompts), len(labels)), dtype=np.float32)
    for places in _batches([len(prompt.tail) for prompt in encoded], most, token_budget):
        rows = [Row(slot, encoded[i], 0, encoded[i].tail) for slot, i in enumerate(places)]
        with free_memory.raising_out_of_memory():
            cache = shared_prefix.Cache(model, len(rows), [*prefixes, []])
            logits = forward(model, rows, cache).float()
            if not logits.amax(-1).isfinite().all():
                raise UserError(NOT_FINITE)
            scores[places] = logits.log_softmax(-1).gather(1, tokens[places]).cpu()
    return scores


def _check_length(text: Text, prompt: Encoded, encoder: PromptEncoder, limit: int | None, token_budget: int) -> None:
    tail = len(prompt.tail)
    whole = tail + sum(map(len, encoder.prefixes[prompt.prefix : prompt.prefix + 1]))
    if limit is not None and whole > limit:
        raise UserError(
            f"The prompt for '{ending(text)}' has {whole} tokens, more than the language model's context of "
            f"{limit} tokens; shorten it."
        )
    if tail > token_budget:
        raise UserError(
            f"The prompt for '{ending(text)}' needs {tail} tokens of keys and values, but generate.token_budget is "
            f"{token_budget}; raise it."
        )


def _batches(lengths: Sequence[int], most: int, token_budget: int) -> Iterator[list[int]]:
    """Divide prompts into forward passes within the token budget, by length: a pass takes room for its longest."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        count = min(most, max(1, token_budget // capacity(lengths[order[0]])))
        yield order[:count]
        del order[:count]
