"""Exceptions for problems that the user can fix."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """Bad input. The message is one line that names the file, key or row and says what to do.

    The command line prints the message without a traceback and exits with 1; every other exception is a defect.
    Unprintable characters, which names of files and keys may contain, are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class DiskFull(UserError):
    """No space is left for `path` or its temporary files."""

    def __init__(self, path: str | Path) -> None:
        where = "there, or in the folder of temporary files (TMPDIR)"
        super().__init__(f"The disk is full: could not write {path}; free some space {where}, and run again.")


class DeadEnd(UserError):
    """A training failed in a way that resuming from any of its checkpoints would repeat."""


@contextmanager
def about(subject: str) -> Iterator[None]:
    """Prefix the message of a `UserError` with its subject, such as the key of the configuration."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{subject}: {error}") from error


def printable(text: str) -> str:
    """Escape line ends, control characters and lone surrogates, and cut words of more than 300 characters."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return re.sub(r"(\S{300})\S+", r"\1...", shown)


def reason(error: Exception) -> str:
    """Return the message of a library's exception in one line, at most 300 characters, without a final full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rstrip(".")[:300]
