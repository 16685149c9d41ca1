"""Facts about an engine that the workflow needs without loading it: one `FACTS` in each engine's package.

A central table would be in the code digest of every shard, so that a new engine would regenerate all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class EngineFacts:
    """Facts about one engine.

    Attributes:
        needs_model: it runs `generate.model`.
        gpus: GPUs that a job uses where there are any, from the section `generate`.
        environment: name of the conda environment file in envs/.
        packages: distributions whose versions are recorded.
        counts_near_ties: it counts near-ties in float32.
    """

    needs_model: bool = True
    gpus: Callable[[dict[str, Any]], int] = lambda settings: 0
    environment: str = "rankrefine"
    packages: tuple[str, ...] = ()
    counts_near_ties: bool = False


def facts(engine: str) -> EngineFacts:
    """Return the facts about an engine (a value of `generate.engine`)."""
    return import_module(f"rankrefine.llm.{engine}").FACTS
