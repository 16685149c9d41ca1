"""Facts about an engine that the workflow needs without loading it: one `FACTS` in each engine's package.

A central table would be in the code digest of every shard, so that a new engine would regenerate all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class EngineFacts:
    """Facts about one engine."""

    needs_model: bool = True  # it runs `generate.model`
    gpus: Callable[[dict[str, Any]], int] = lambda settings: 0  # of a job, if there are any; takes section `generate`
    environment: str = "rankrefine"  # a conda environment file in envs/
    packages: tuple[str, ...] = ()  # distributions whose versions are recorded
    counts_near_ties: bool = False  # in float32


def facts(engine: str) -> EngineFacts:
    """Return the facts about an engine (a value of `generate.engine`)."""
    return import_module(f"rankrefine.llm.{engine}").FACTS
