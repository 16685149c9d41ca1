"""Classifier-free guidance for stock vLLM: a negative prompt and a guidance scale for offline programs.

    from rankrefine.vllm_guidance import GuidedLLM

    llm = GuidedLLM("HuggingFaceTB/SmolLM2-1.7B-Instruct", pairs=64)
    texts = llm.generate(prompts, negative_prompts, guidance_scale=1.5)

`pairs` matches the two rows of a pair inside a batch and chooses their token, `v1` and `v2` are thin adapters to the
logits processor interfaces of vLLM's two model runners, `llm` admits the pairs so that their rows stay in step.
docs/vllm.md says how it works and what its limits are. Besides vLLM it needs `rankrefine.llm.guidance` alone.
"""

from rankrefine.llm.guidance import Sampling
from rankrefine.llm.vllm.guided_llm import Guided, GuidedLLM, OutOfStep

__all__ = ["Guided", "GuidedLLM", "OutOfStep", "Sampling"]
