"""Guided decoding with Hugging Face transformers."""

from rankrefine.llm.facts import EngineFacts

FACTS = EngineFacts(
    gpus=lambda settings: int(settings["device"] != "cpu"),
    packages=("torch", "transformers"),
    counts_near_ties=True,
)
