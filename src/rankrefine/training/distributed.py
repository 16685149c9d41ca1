"""Training in several processes of one machine, usually one for each GPU.

A step's lists are shared out and the gradients averaged (torch's DistributedDataParallel, through accelerate), so that
with any number of processes a step stands for the same lists.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from rankrefine.errors import DeadEnd, UserError


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
        UserError: one of them raised it, or there are fewer GPUs than processes.
    """
    if wanted == 1:
        return function(*arguments)
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if torch.cuda.is_available() and wanted > torch.cuda.device_count():
        raise UserError(f"{wanted} processes are wanted but there are {torch.cuda.device_count()} GPUs; take as many.")
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
        return elastic_launch(config, _logged)(_log_files(), function, *arguments)[0]
    except SignalException as error:  # the launcher turns signals into exceptions
        raise SystemExit(128 + error.sigval) from error
    except ChildFailedError as error:
        for failure in error.failures.values():
            message = failure.message if isinstance(failure.message, str) else failure.message["message"]
            for kind in (DeadEnd, UserError):
                if message.startswith(f"{kind.__name__}: "):
                    raise kind(message.removeprefix(f"{kind.__name__}: ")) from error
        raise


def _log_files() -> list[str]:
    return [one.baseFilename for one in logging.getLogger().handlers if isinstance(one, logging.FileHandler)]


def _logged(files: list[str], function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)` in a new process, which has no handlers; the first one logs where its parent does."""
    logging.raiseExceptions = False  # as in the command line
    if is_first():
        logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[logging.StreamHandler()])
        for file in files:
            written = logging.FileHandler(file, encoding="utf-8")
            written.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            logging.getLogger().addHandler(written)
        logging.getLogger("rankrefine").setLevel(logging.INFO)
    return function(*arguments)
