"""The one exception for anything the user can put right."""


class UserError(Exception):
    """Bad input, told in one sentence that names the file, key or row and says what to do.

    The command line prints the sentence without a traceback and exits with 1; every other exception is a defect.
    """


def reason(error: Exception) -> str:
    """What a library says of an error, in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rstrip(".")[:300]
