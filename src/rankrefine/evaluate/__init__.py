"""Stage 5: encoders side by side on STS and other tasks."""
