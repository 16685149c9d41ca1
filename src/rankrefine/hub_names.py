"""Names of repositories on the Hugging Face hub, as source strings write them. Standard library only."""

import re

# hub:ORG/NAME@REVISION[#SUBSET]; the prefix base: marks an encoder that `base` derived from the repository
SOURCE = re.compile(
    r"(?:base:)?hub:(?P<repository>[\w.-]+(?:/[\w.-]+)?)@(?P<revision>[\w./-]+)(?:#(?P<subset>[\w.-]+))?"
)


def repository(source: str) -> str | None:
    """Return the repository id of a source string, or None if it does not name a hub repository."""
    match = SOURCE.fullmatch(source)
    return match and match["repository"]
