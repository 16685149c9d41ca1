"""Stage 5: evaluation of encoders on STS and other tasks."""
