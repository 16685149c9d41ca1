"""Engines that complete guided prompts. An engine is a module here with a function `load`; see `base`.

They are imported by name, so that the digest of a generation job covers the engine it uses and no other.
"""
