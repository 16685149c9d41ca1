"""Stage 4: teacher embeddings, and training on the ranking lists."""
