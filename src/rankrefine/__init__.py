"""rankrefine: make a sentence encoder better with rankings that a language model writes, without a human label."""

__version__ = "0.1.0"
