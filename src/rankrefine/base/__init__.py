"""Stage 4: prepare or train the encoder to refine, if it is not used as fetched."""
