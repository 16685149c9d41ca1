"""Stage 4: the base encoder, where it has to be prepared or trained first."""
