"""Stage 1: seed sentences from plain text."""
