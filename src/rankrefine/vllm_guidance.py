"""Classifier-free guidance for stock vLLM: a negative prompt and a guidance scale for offline programs.

    from rankrefine.vllm_guidance import GuidedLLM

    llm = GuidedLLM("HuggingFaceTB/SmolLM2-1.7B-Instruct", pairs=64)
    texts = llm.generate(prompts, negative_prompts, guidance_scale=1.5)

See docs/vllm.md for the method and its limits. The code is in `rankrefine.llm.vllm`: `guided_llm` admits pairs of
prompts so that their rows stay in step, `pairs` matches the rows and chooses their token, `runner_v1` and `runner_v2`
are the logits processors of vLLM's two model runners.
"""

from rankrefine.llm.guidance import Sampling
from rankrefine.llm.vllm.guided_llm import Guided, GuidedLLM, OutOfStep

__all__ = ["Guided", "GuidedLLM", "OutOfStep", "Sampling"]
