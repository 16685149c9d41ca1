"""Guided pairs for vLLM's Model Runner V2, whose logits processors keep state per request slot."""

import torch
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcessor, LogitsProcRequestState

from rankrefine.llm.vllm.pairs import Part, Row, read, steer


class GuidedPairs(LogitsProcessor):
    """Logits processor that steers the rows of guided completions (see `pairs`)."""

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        if vllm_config.speculative_config is not None:
            raise ValueError("Guided pairs do not support speculative decoding.")
        self._prompt_lengths = req_states.prompt_len
        self._parts: dict[int, Part] = {}  # slot -> part; a free slot keeps its last one

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Reject arguments that this processor cannot read; vLLM calls it for every request."""
        read(sampling_params.extra_args)

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """Add a request to a slot; return True if it belongs to a guided completion."""
        self._parts.pop(req_idx, None)
        if (part := read(sampling_params.extra_args)) is not None:
            self._parts[req_idx] = part
        return part is not None

    def apply(self, logits: torch.Tensor, ctx: LogitsContext) -> torch.Tensor:
        """Steer one step; `logits` are changed in place. Their rows are the requests of the batch."""
        slots, lengths = ctx.idx_mapping_np.tolist(), ctx.seq_lens_upper_bound_np.tolist()
        prompts = self._prompt_lengths.np
        rows = [
            Row(self._parts[slot], place, length - int(prompts[slot]))
            for place, (slot, length) in enumerate(zip(slots, lengths, strict=False))
            if slot in self._parts
        ]
        if rows:
            steer(logits, rows, ctx.input_ids)
        return logits
