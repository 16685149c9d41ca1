"""Normal form and hash of a sentence."""

import hashlib
import unicodedata


def normalise(text: str) -> str:
    """Return the text in Unicode NFC, with single spaces between words and none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def text_hash(text: str, random_seed: int | None = None) -> bytes:
    """Return an 8-byte hash of the text; with `random_seed`, its sort key in the selection order of that run."""
    key = text if random_seed is None else f"{random_seed}\0{text}"
    return hashlib.blake2b(key.encode(), digest_size=8).digest()
