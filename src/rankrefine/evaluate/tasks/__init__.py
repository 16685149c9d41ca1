"""Tasks of our own, one module each."""
