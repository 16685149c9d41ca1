"""Lists that are written as text in a cell of a table: JSON, or a Python literal, which is parsed but never run."""

import ast
import io
import json
import re
import tokenize
import warnings
from itertools import pairwise
from typing import Any

# two quoted texts with nothing but white space between them: NumPy's form, and to Python one text
JOINED = re.compile(r"""["']\s+["']""")


def parse(text: str) -> Any:
    """Return the value that a text stands for, in JSON or as a Python literal; None for any other text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escape sequences
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None


def is_numpy(text: str) -> bool:
    """Return True for a list without commas, as NumPy prints it: ['a' 'b'], which Python reads as ['ab']."""
    if not JOINED.search(text) or not text.lstrip().startswith(("[", "(")):
        return False
    try:
        tokens = [token.type for token in tokenize.generate_tokens(io.StringIO(text).readline)]
    except (tokenize.TokenError, SyntaxError):
        return False
    kinds = [kind for kind in tokens if kind not in (tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT)]
    return any(pair == (tokenize.STRING, tokenize.STRING) for pair in pairwise(kinds))
