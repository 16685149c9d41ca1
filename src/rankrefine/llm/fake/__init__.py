"""Deterministic engine for tests of the workflow; runs no model."""

from rankrefine.llm.facts import EngineFacts

FACTS = EngineFacts(needs_model=False)
