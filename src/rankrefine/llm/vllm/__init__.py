"""Guided decoding with stock vLLM."""
