"""Guided pairs for vLLM's V1 model runner, which notifies logits processors of every change of the batch."""

import torch
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, process_dict_updates

from rankrefine.llm.vllm.pairs import Part, Row, read, steer


class GuidedPairs(LogitsProcessor):
    """Logits processor that steers the rows of guided completions (see `pairs`)."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        self._rows: dict[int, tuple[Part, list[int]]] = {}  # row -> part and tokens (vLLM appends)

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Reject arguments that this processor cannot read; vLLM calls it for every request."""
        read(sampling_params.extra_args)

    def is_argmax_invariant(self) -> bool:
        """Return False: greedy requests must be processed, too."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Track the rows that vLLM adds, removes and moves."""
        process_dict_updates(self._rows, batch_update, _row)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Steer one step; `logits` are changed in place."""
        if self._rows:
            last = torch.full((len(logits),), -1)
            for place, (_, tokens) in self._rows.items():
                last[place] = tokens[-1] if tokens else -1
            rows = [Row(part, place, len(tokens)) for place, (part, tokens) in self._rows.items()]
            steer(logits, rows, last.to(logits.device))
        return logits


def _row(params: SamplingParams, _: list[int] | None, tokens: list[int]) -> tuple[Part, list[int]] | None:
    part = read(params.extra_args)
    return None if part is None else (part, tokens)
