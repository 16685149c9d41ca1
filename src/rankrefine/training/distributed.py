"""Training in several processes on one machine, usually one per GPU.

Each batch is split between the processes and gradients are averaged (torch's DistributedDataParallel, through
accelerate), so that a step uses the same examples with any number of processes.
"""

import logging
import os
from collections.abc import Callable
from typing import Any

from rankrefine import progress
from rankrefine.errors import DeadEnd, UserError


def world_size() -> int:
    """Return the number of processes of this training."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Return True in the process that writes files."""
    return os.environ.get("RANK", "0") == "0"


def broadcast(value: Any) -> Any:
    """Return the first process's `value` in all processes."""
    if world_size() == 1:
        return value
    import torch.distributed

    values = [value]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]


def launch(processes: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function(*arguments)` in `processes` processes and return the result of the first one.

    Raises:
        UserError: one of the processes raised it, or there are fewer GPUs than processes.
    """
    if processes == 1:
        return function(*arguments)
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if torch.cuda.is_available() and processes > (gpus := torch.cuda.device_count()):
        raise UserError(f"{processes} processes were requested but there are {gpus} GPUs; request at most {gpus}.")
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=str(os.getpid()),
        max_restarts=0,
    )
    for name in ("torch.distributed", "torch.multiprocessing", "torchelastic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they would print each traceback three times
    handlers = logging.getLogger().handlers
    log_files = [handler.baseFilename for handler in handlers if isinstance(handler, logging.FileHandler)]
    try:
        return elastic_launch(config, _call)(log_files, function, *arguments)[0]
    except SignalException as error:  # the launcher turns signals into exceptions
        raise SystemExit(128 + error.sigval) from error
    except ChildFailedError as error:
        for failure in error.failures.values():
            message = failure.message if isinstance(failure.message, str) else failure.message["message"]
            for kind in (DeadEnd, UserError):
                if message.startswith(f"{kind.__name__}: "):
                    raise kind(message.removeprefix(f"{kind.__name__}: ")) from error
        raise


def _call(log_files: list[str], function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function` in a new process; the first process logs to the log files of its parent."""
    logging.raiseExceptions = False  # as in the command line
    if is_first():
        terminal = logging.StreamHandler()
        terminal.addFilter(progress.is_for_stderr)
        logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[terminal])
        for file in log_files:
            handler = logging.FileHandler(file, encoding="utf-8")
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            logging.getLogger().addHandler(handler)
        logging.getLogger("rankrefine").setLevel(logging.INFO)
    return function(*arguments)
