"""The exception for anything the user can put right, and a kind of it."""


class UserError(Exception):
    """Bad input, told in one sentence that names the file, key or row and says what to do.

    The command line prints the sentence without a traceback and exits with 1; every other exception is a defect.
    """


class DeadEnd(UserError):
    """A training has come to where it would come again from any of its checkpoints."""


def reason(error: Exception) -> str:
    """What a library says of an error, in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rstrip(".")[:300]
