"""A negative prompt and a guidance scale for stock vLLM: python examples/vllm_guidance.py MODEL

MODEL is a folder or a hub id of an instruction-tuned model. Needs vLLM and this package (docs/vllm.md).
"""

import sys

from rankrefine.vllm_guidance import GuidedLLM, Sampling

ASK = "Say what a good neighbour does, in one sentence."
MANNERS = ("You are polite.", "You are a pirate.", "You are a lawyer.")


def chat(manner: str) -> list[dict[str, str]]:
    """Return the question to somebody with these manners."""
    return [{"role": "system", "content": manner}, {"role": "user", "content": ASK}]


if __name__ == "__main__":
    llm = GuidedLLM(sys.argv[1], pairs=8, enforce_eager=True)
    prompts, negatives = [chat(manner) for manner in MANNERS], [chat(MANNERS[0])] * len(MANNERS)
    for scale in (1.0, 1.5, 3.0):
        for guided in llm.generate(prompts, negatives, scale, Sampling(temperature=0.7, max_new_tokens=40), seed=1):
            print(f"{scale}  {MANNERS[guided.id]}  {guided.text}")
