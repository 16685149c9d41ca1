"""Split the seed budget into generation jobs. Standard library only, since the Snakefile imports this module."""

from typing import Any

WRITTEN = "written"  # a source of seed sentences that the language model writes


def shards(count: int, size: int) -> dict[str, tuple[int, int]]:
    """Return the generation jobs for `count` seed sentences: zero-padded name -> (first row of the pool, row count).

    A larger count leaves full shards unchanged: it extends the last one and adds new ones.
    """
    return {f"{i:05d}": (first, min(size, count - first)) for i, first in enumerate(range(0, count, size))}


def folders(config: dict[str, Any]) -> tuple[str, str]:
    """Return the folders of the pool and of the shards, relative to the results folder.

    Imported lists have their own folder, so that they never replace the result of hours of generation.
    """
    return ("lists", "lists") if config["lists"]["source"] == "import" else ("seeds", "generate")


def declared(config: dict[str, Any]) -> dict[str, tuple[int, int | None]]:
    """Return the shards of a complete config, as `shards` does; imported lists are one shard of all rows (None)."""
    if config["lists"]["source"] == "import":
        return {"00000": (0, None)}
    return shards(config["seeds"]["count"], config["generate"]["shard_size"])
