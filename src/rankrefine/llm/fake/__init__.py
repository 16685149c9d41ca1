"""Deterministic engine for tests; runs no model."""
