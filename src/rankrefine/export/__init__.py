"""Choice of the best encoder, and model cards."""
