"""Sentence encoders: opening, pooling, sentence lengths, embedding."""
