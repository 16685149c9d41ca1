"""Guided decoding on vLLM: both prompts of every request as two rows that run in step (see `guided_llm`).

In float32 a request's tokens are those of the transformers engine, except at near-ties. Results are not reproducible
byte by byte: which requests run together depends on the contents of vLLM's prefix cache.
"""

import inspect
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedTokenizerBase

from rankrefine.errors import UserError, reason
from rankrefine.llm.guidance import Sampling
from rankrefine.llm.interface import Completion, OutOfMemory, Request, Text
from rankrefine.llm.prompts import Prompt
from rankrefine.llm.tokens import (
    FOLDED,
    decode,
    encode,
    ending,
    folds_system,
    label_tokens,
    newline_tokens,
    open_tokenizer,
    stop_tokens,
)
from rankrefine.llm.vllm.guided_llm import Guided, GuidedLLM, OutOfStep

ROOM = 32  # spare tokens per prompt, for long sentences
LONGEST = 8192  # maximum number of tokens of a prompt with its completion; vLLM needs memory for one such sequence
BLOCK = 32  # tokens of keys and values per cache block on a CPU: vLLM is slow with smaller ones


def load(
    folder: Path,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    max_running: int,
    settings: dict[str, Any],
    threads: int | None,
) -> "VLLMEngine":
    """Open the model in `folder` and return an engine with it; see `interface`.

    Raises:
        UserError: vLLM is not installed, or does not run the model here.
    """
    if find_spec("vllm") is None:
        raise UserError(
            "generate.engine is vllm, but vLLM is not installed in this environment; see docs/vllm.md, or set "
            "generate.engine to transformers."
        )
    if threads:
        torch.set_num_threads(threads)
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    try:
        tokenizer = open_tokenizer(folder)
        guided = GuidedLLM(str(folder), max_running, **_options(AutoConfig.from_pretrained(folder), settings))
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # vLLM raises all of them, also when out of memory
        raise UserError(f"generate.model: vLLM cannot run {folder}: {reason(error)}.") from error
    folds = folds_system(tokenizer, prompts)
    template = max(len(encode(tokenizer, prompt.fill(""), folds)) for prompt in prompts)
    return VLLMEngine(guided, tokenizer, sampling, max_running, template, folds)


def _options(config: PretrainedConfig, settings: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments for `vllm.LLM`."""
    from vllm.platforms import current_platform

    cpu, text = current_platform.is_cpu(), config.get_text_config()
    if settings["device"] != "auto" and cpu != (settings["device"] == "cpu"):
        build = "CPUs" if cpu else "GPUs"
        raise UserError(f"generate.device is {settings['device']}, but the installed vLLM is built for {build}.")
    budget = settings["token_budget"]
    options = {
        "dtype": settings["dtype"],
        "tensor_parallel_size": settings["tensor_parallel"],
        "max_model_len": min(getattr(text, "max_position_embeddings", None) or budget, budget // 2, LONGEST),
        "load_format": "safetensors",
    }
    if cpu:  # on a GPU vLLM uses all memory that the model leaves free
        width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        token = 2 * text.num_hidden_layers * heads * width * (4 if settings["dtype"] == "float32" else 2)
        options |= {"kv_cache_memory_bytes": (budget + BLOCK) * token, "block_size": BLOCK}
        options["enforce_eager"] = True  # compilation takes minutes and gains little
    return options


class VLLMEngine:
    """Runs `max_running` requests at the same time, each with up to two prompts. See the module.

    Args:
        template: tokens of the longest template without its sentence.
        folds: system messages become parts of user messages.
    """

    def __init__(
        self,
        guided: GuidedLLM,
        tokenizer: PreTrainedTokenizerBase,
        sampling: Sampling,
        max_running: int,
        template: int,
        folds: bool = False,
    ) -> None:
        self.folds = folds
        self.guided, self.tokenizer, self.sampling = guided, tokenizer, sampling
        self._ends = stop_tokens(tokenizer, list(guided.ends()))
        self._newlines = newline_tokens(tokenizer)
        usual = template + 2 * sampling.max_new_tokens + ROOM  # a rewrite as the prompt, the next one after it
        self.max_running = max(1, min(max_running, guided.capacity // (2 * usual)))

    def describe(self) -> dict[str, Any]:
        """Return device, dtype, threads, and the settings of vLLM that decide the results."""
        from vllm.platforms import current_platform

        config = self.guided.llm.llm_engine.vllm_config
        return {
            "device": "cpu" if current_platform.is_cpu() else current_platform.get_device_name(),
            "dtype": str(config.model_config.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "max_running": self.max_running,
            "model_runner": 2 if config.use_v2_model_runner else 1,
            "tensor_parallel": config.parallel_config.tensor_parallel_size,
            **(FOLDED if self.folds else {}),
        }

    def reset(self, max_running: int | None = None) -> None:
        """Forget all requests and all cached prompts; run at most `max_running` requests at the same time."""
        self.max_running = max_running or self.max_running
        self.guided.reset()

    def split(self, count: int) -> list["VLLMEngine"]:
        """Return this engine alone: vLLM has threads of its own."""
        return [self]

    def add(self, request: Request) -> None:
        """Add a request.

        Raises:
            UserError: its prompts and completion exceed the room of an empty engine.
        """
        prompt = self._encode(request.prompt)
        negative = None if request.negative_prompt is None else self._encode(request.negative_prompt)
        stops = self._ends | self._newlines if request.one_line else self._ends
        try:
            self.guided.add(request.id, prompt, negative, request.guidance_scale, self.sampling, request.key, stops)
        except ValueError as error:
            raise UserError(
                f"The prompt for '{ending(request.prompt)}' is too long: {error}; raise generate.token_budget, or "
                "lower seeds.max_words or generate.max_new_tokens."
            ) from error

    def step(self) -> list[Completion]:
        """Add one token to every request that there is room for; return the completed ones."""
        try:
            return [self._completion(guided) for guided in self.guided.step()]
        except OutOfStep as error:
            raise OutOfMemory(f"vLLM cannot run {self.max_running} pairs of prompts in step") from error
        except torch.OutOfMemoryError as error:
            raise OutOfMemory("the GPU's memory is full") from error

    def score(self, prompts: Sequence[Text], labels: Sequence[str]) -> np.ndarray:
        """Return log-probabilities of the labels, float32 [prompts, labels]; see `interface`."""
        tokens = label_tokens(self.tokenizer, prompts, labels, self.folds)
        encoded = [self._encode(text) for text in prompts]
        try:
            return np.array(self.guided.score(encoded, tokens), dtype=np.float32).reshape(len(prompts), len(labels))
        except ValueError as error:
            longest = prompts[max(range(len(prompts)), key=lambda i: len(encoded[i]))]
            raise UserError(
                f"The prompt for '{ending(longest)}' is too long: {error}; shorten it, or raise generate.token_budget."
            ) from error
        except torch.OutOfMemoryError as error:
            raise OutOfMemory("the GPU's memory is full") from error

    def _completion(self, guided: Guided) -> Completion:
        stop = "length" if guided.stop is None else "end" if guided.stop in self._ends else "newline"
        text = decode(self.tokenizer, guided.tokens, guided.stop if stop == "newline" else None)
        return Completion(guided.id, text, guided.tokens, stop, redone=guided.redone)

    def _encode(self, text: Text) -> list[int]:
        """Return the token ids of a prompt. Before 5.20 transformers cannot encode a chat's control tokens as text."""
        can_sanitize = "sanitize_control_tokens" in inspect.signature(self.tokenizer.apply_chat_template).parameters
        if not can_sanitize and not isinstance(text, str):
            special = (token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special)
            if token := next((token for token in special if token in text[-1]["content"]), None):
                raise UserError(f"The prompt for '{ending(text)}' contains the control token {token}; remove it.")
        return encode(self.tokenizer, text, self.folds)
