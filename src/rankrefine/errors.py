"""The exception for anything the user can put right, and a kind of it."""

import re
from pathlib import Path


class UserError(Exception):
    """Bad input, told in one sentence that names the file, key or row and says what to do.

    The command line prints the sentence without a traceback and exits with 1; every other exception is a defect.
    Names of files and keys may hold anything: what no terminal shows is escaped, so that the sentence stays one line.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class DiskFull(UserError):
    """There is no space left for `path`, or for the temporary files that go into it."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(
            f"The disk is full: could not write {path}; free some space there, or for temporary files (TMPDIR), and "
            "run again."
        )


class DeadEnd(UserError):
    """A training has come to where it would come again from any of its checkpoints."""


def printable(text: str) -> str:
    """The text with escapes for line ends, control characters, halves of surrogate pairs; long words are cut."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return re.sub(r"(\S{300})\S+", r"\1...", shown)


def reason(error: Exception) -> str:
    """What a library says of an error, in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rstrip(".")[:300]
