"""Training examples of the base encoder: written by the language model, or imported, and filtered."""
