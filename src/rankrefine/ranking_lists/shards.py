"""How the seed budget is cut into generation jobs. Standard library only: the Snakefile imports this."""

from __future__ import annotations

from typing import Any


def shards(count: int, size: int) -> dict[str, tuple[int, int]]:
    """Generation jobs for `count` seed sentences: zero-padded name -> (first row of the pool, number of rows).

    A larger count changes no full shard: it fills the last one up and adds new ones.
    """
    return {f"{i:05d}": (first, min(size, count - first)) for i, first in enumerate(range(0, count, size))}


def folders(config: dict[str, Any]) -> tuple[str, str]:
    """Below the results folder, where the pool and where the shards lie.

    Imported lists have a folder of their own, so that they do not take the place of what hours of generation made.
    """
    return ("lists", "lists") if config["lists"]["source"] == "import" else ("seeds", "generate")


def declared(config: dict[str, Any]) -> dict[str, tuple[int, int | None]]:
    """The shards of a completed config, as `shards`; imported lists are one, of as many rows as it holds (None)."""
    if config["lists"]["source"] == "import":
        return {"00000": (0, None)}
    return shards(config["seeds"]["count"], config["generate"]["shard_size"])
