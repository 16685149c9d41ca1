"""Guided `generate` of transformers, unchanged, and its speed."""

from __future__ import annotations

import time
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rankrefine.llm.prompts import Prompt
from rankrefine.llm.tokens import encode, stop_tokens


class Library:
    """Guided sampling with the temperature and length of the config section generate."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: Prompt, settings: dict[str, Any]
    ) -> None:
        self._model, self._tokenizer, self._prompt, self._settings = model, tokenizer, prompt, settings
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token

    def rate(self, pairs: list[tuple[str, str]], size: int) -> float:
        """Guided tokens per second in batches of `size`; 0 if a GPU's memory is too small."""
        started = time.perf_counter()
        try:
            tokens = sum(self._complete(pairs[first : first + size]) for first in range(0, len(pairs), size))
        except torch.OutOfMemoryError:
            return 0.0
        return tokens / (time.perf_counter() - started)

    @torch.inference_mode()
    def _complete(self, pairs: list[tuple[str, str]]) -> int:
        prompt, negative = (
            self._tokenizer.pad(
                {"input_ids": [encode(self._tokenizer, self._prompt.fill(text)) for text in texts]},
                return_tensors="pt",
            ).to(self._model.device)
            for texts in zip(*pairs, strict=True)
        )
        out = self._model.generate(
            **prompt,
            guidance_scale=self._settings["guidance_scale"],
            negative_prompt_ids=negative["input_ids"],
            negative_prompt_attention_mask=negative["attention_mask"],
            do_sample=True,
            temperature=self._settings["temperature"],
            max_new_tokens=self._settings["max_new_tokens"],
            pad_token_id=self._tokenizer.pad_token_id,
        )
        ends = torch.tensor([*stop_tokens(self._tokenizer, self._model.generation_config.eos_token_id)])
        new = out[:, prompt["input_ids"].shape[1] :]
        return int((torch.isin(new, ends.to(new.device)).cumsum(-1) == 0).sum())
