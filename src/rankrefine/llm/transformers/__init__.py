"""Guided decoding with Hugging Face transformers."""
