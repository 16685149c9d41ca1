"""Stage 4: teacher embeddings (`teacher`), training on the rankings (`train`), choice of the encoder (`export`)."""
