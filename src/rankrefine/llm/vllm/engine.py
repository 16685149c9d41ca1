"""Guided decoding on vLLM: both prompts of every request as two rows that run in step (`rankrefine.vllm_guidance`).

In float32 a request's tokens are those of the transformers engine but for near-ties. The same bytes again are not
promised: what runs together depends on what vLLM's prefix cache holds.
"""

from __future__ import annotations

import inspect
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedTokenizerBase

from rankrefine.errors import UserError, reason
from rankrefine.llm.guidance import Sampling
from rankrefine.llm.interface import Completion, OutOfMemory, Request, Text
from rankrefine.llm.prompts import Prompt
from rankrefine.llm.tokens import decode, encode, ending, newline_tokens, open_tokenizer, stop_tokens
from rankrefine.vllm_guidance import Guided, GuidedLLM, OutOfStep

ROOM = 32  # tokens that a sentence may be longer than usual before it costs a seat
LONGEST = 8192  # tokens of a prompt with its completion; vLLM wants memory for one such sequence
BLOCK = 32  # tokens of keys and values that are cached together, on a CPU: the least that vLLM is fast with


def load(
    folder: Path, prompt: Prompt, sampling: Sampling, chains: int, settings: dict[str, Any], threads: int | None
) -> VLLMEngine:
    """Open the model in `folder` and make an engine of it; see `base`.

    Raises:
        UserError: vLLM is not installed, or does not run the model here.
    """
    if find_spec("vllm") is None:
        raise UserError(
            "generate.engine is vllm but vLLM is not installed here; docs/vllm.md says how to set up its environment, "
            "or set generate.engine to transformers."
        )
    if threads:
        torch.set_num_threads(threads)
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    try:
        tokenizer = open_tokenizer(folder)
        guided = GuidedLLM(str(folder), chains, **_options(AutoConfig.from_pretrained(folder), settings))
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # vLLM raises them all, also for want of memory
        raise UserError(f"generate.model: vLLM does not run {folder}: {reason(error)}.") from error
    return VLLMEngine(guided, tokenizer, sampling, chains, len(encode(tokenizer, prompt.fill(""))))


def _options(config: PretrainedConfig, settings: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `vllm.LLM`."""
    from vllm.platforms import current_platform

    cpu, text = current_platform.is_cpu(), config.get_text_config()
    if settings["device"] != "auto" and cpu != (settings["device"] == "cpu"):
        here = "CPUs" if cpu else "GPUs"
        raise UserError(f"generate.device is {settings['device']} but the vLLM installed here is for {here}.")
    budget = settings["token_budget"]
    options = {
        "dtype": settings["dtype"],
        "tensor_parallel_size": settings["tensor_parallel"],
        "max_model_len": min(getattr(text, "max_position_embeddings", None) or budget, budget // 2, LONGEST),
        "load_format": "safetensors",
    }
    if cpu:  # on a GPU vLLM takes the memory that the model leaves
        width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        token = 2 * text.num_hidden_layers * heads * width * (4 if settings["dtype"] == "float32" else 2)
        options |= {
            "kv_cache_memory_bytes": (budget + BLOCK) * token,
            "block_size": BLOCK,
            "enforce_eager": True,  # compiling takes minutes and gains little
        }
    return options


class VLLMEngine:
    """See the module. `seats` requests run together, each with up to two prompts.

    Args:
        template: tokens of the prompt around the sentence.
    """

    def __init__(
        self, guided: GuidedLLM, tokenizer: PreTrainedTokenizerBase, sampling: Sampling, chains: int, template: int
    ) -> None:
        self.guided, self.tokenizer, self.sampling = guided, tokenizer, sampling
        self._newlines = newline_tokens(tokenizer)
        self._stops = stop_tokens(tokenizer, list(guided.ends())) | self._newlines
        usual = template + 2 * sampling.max_new_tokens + ROOM  # a rewrite as the prompt, the next one after it
        self.seats = max(1, min(chains, guided.capacity // (2 * usual)))

    def describe(self) -> dict[str, Any]:
        """Device, dtype, threads, and what else of vLLM decides the results."""
        from vllm.platforms import current_platform

        config = self.guided.llm.llm_engine.vllm_config
        return {
            "device": "cpu" if current_platform.is_cpu() else current_platform.get_device_name(),
            "dtype": str(config.model_config.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "seats": self.seats,
            "model_runner": 2 if config.use_v2_model_runner else 1,
            "tensor_parallel": config.parallel_config.tensor_parallel_size,
        }

    def reset(self, seats: int | None = None) -> None:
        """Forget all requests and all cached prompts, and run `seats` requests together from now on."""
        self.seats = seats or self.seats
        self.guided.reset()

    def add(self, request: Request) -> None:
        """Take in a request.

        Raises:
            UserError: its prompts and completion could never run.
        """
        positive = self._encode(request.positive)
        negative = None if request.negative is None else self._encode(request.negative)
        arguments = (request.guidance_scale, self.sampling, request.key, self._stops)
        try:
            self.guided.add(request.id, positive, negative, *arguments)
        except ValueError as error:
            raise UserError(
                f"The prompt for '{ending(request.positive)}' does not fit: {error}; raise generate.token_budget, or "
                "lower seeds.max_words or generate.max_new_tokens."
            ) from error

    def step(self) -> list[Completion]:
        """One token for every request that there is room for."""
        try:
            return [self._completion(guided) for guided in self.guided.step()]
        except OutOfStep as error:
            raise OutOfMemory(f"vLLM cannot run {self.seats} pairs of prompts in step") from error
        except torch.OutOfMemoryError as error:
            raise OutOfMemory("the GPU's memory is full") from error

    def _completion(self, guided: Guided) -> Completion:
        stop = "length" if guided.stop is None else "newline" if guided.stop in self._newlines else "end"
        text = decode(self.tokenizer, guided.tokens, guided.stop if stop == "newline" else None)
        return Completion(guided.id, text, guided.tokens, stop, redone=guided.redone)

    def _encode(self, text: Text) -> list[int]:
        """Token ids of a prompt. Before 5.20 transformers cannot encode a control token in a chat as text."""
        known = "sanitize_control_tokens" in inspect.signature(self.tokenizer.apply_chat_template).parameters
        if not known and not isinstance(text, str):
            special = (token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special)
            if found := next((token for token in special if token in text[-1]["content"]), None):
                raise UserError(f"The prompt for '{ending(text)}' holds the control token {found}; take it out.")
        return encode(self.tokenizer, text)
