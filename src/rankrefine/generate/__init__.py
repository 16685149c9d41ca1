"""Stage 2: what the language model writes for each seed sentence."""
