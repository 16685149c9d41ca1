"""Training in several processes of one machine, usually one for each GPU.

A step's lists are shared out and the gradients averaged (torch's DistributedDataParallel, through accelerate), so that
with any number of processes a step stands for the same lists.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from typing import Any

from rankrefine.errors import UserError


def count() -> int:
    """How many processes train together, this one included."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return os.environ.get("RANK", "0") == "0"


def agreed(value: Any) -> Any:
    """What the first process has."""
    if count() == 1:
        return value
    import torch.distributed

    held = [value]
    torch.distributed.broadcast_object_list(held, src=0)
    return held[0]


def launch(wanted: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, in `wanted` processes at once; what the first of them returns.

    Raises:
        UserError: one of them raised it.
    """
    if wanted == 1:
        return function(*arguments)
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=wanted,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=str(os.getpid()),
        max_restarts=0,
    )
    for name in ("torch.distributed", "torch.multiprocessing", "torchelastic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they would print every trace thrice; we raise it
    try:
        return elastic_launch(config, function)(*arguments)[0]
    except ChildFailedError as error:
        for failure in error.failures.values():
            message = failure.message if isinstance(failure.message, str) else json.dumps(failure.message)
            if UserError.__name__ in message:
                raise UserError(message.partition(f"{UserError.__name__}: ")[2]) from error
        raise
