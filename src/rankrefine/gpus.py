"""GPU assignment on a machine without a scheduler: each job locks its own GPUs.

Snakemake counts GPUs but assigns none, and torch uses the first visible one. Standard library only, because
CUDA_VISIBLE_DEVICES must be set before torch is imported.
"""

import fcntl
import logging
import os
import random
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

from rankrefine.errors import UserError

log = logging.getLogger(__name__)
DRIVER = Path("/proc/driver/nvidia/gpus")  # one folder for each GPU
WAIT = 1.0  # seconds between two attempts to lock

_locks: list[IO[str]] = []  # open files; the system releases the locks when the process ends, however it ends


def detected() -> list[str]:
    """Return this machine's NVIDIA GPUs as CUDA_VISIBLE_DEVICES names them: numbers in bus order, MIG devices by UUID.

    They come from nvidia-smi, or from the driver's files if it is missing.
    """
    try:
        completed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (FileNotFoundError, PermissionError):
        return [str(number) for number, _ in enumerate(DRIVER.glob("*"))]
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_listing(completed.stdout) if completed.returncode == 0 else []


def parse_listing(text: str) -> list[str]:
    """Return the devices in the output of `nvidia-smi -L`: a partitioned GPU counts as its MIG devices."""
    gpus = re.split(r"^GPU (?=\d+:)", text, flags=re.MULTILINE)[1:]
    return [device for gpu in gpus for device in re.findall(r"UUID: (MIG-[^)\s]+)", gpu) or [gpu.partition(":")[0]]]


def is_selected() -> bool:
    """Return True if a scheduler or the user has selected the visible GPUs."""
    return "SLURM_JOB_ID" in os.environ or "CUDA_VISIBLE_DEVICES" in os.environ


def places() -> int:
    """Return how many one-GPU jobs can run at the same time; at most 1 if GPUs are selected, as all jobs see them."""
    if is_selected():
        return int(os.environ.get("CUDA_VISIBLE_DEVICES", "") not in ("", "-1", "NoDevFiles"))
    return len(detected())


def take(count: int, devices: list[str] | None = None, locks: Path | None = None) -> None:
    """Lock `count` GPUs until this process ends, and make only those visible to torch; wait while they are in use.

    Nothing happens if GPUs are selected already, or if there are none.

    Args:
        count: number of GPUs; 0 hides all.
        devices: available GPUs; None detects them.
        locks: folder of the lock files; None is a folder of the user in the system's temporary folder.

    Raises:
        UserError: there are too few GPUs, or another user owns the folder of the lock files.
    """
    if is_selected() or not (devices := detected() if devices is None else devices):
        return
    if count > len(devices):
        number = len(devices)
        raise UserError(f"{count} GPUs were requested but this machine has {number}; request at most {number}.")
    taken: list[str] = []
    if count:
        folder = locks or _folder()
        if not (taken := _lock(count, devices, folder)):
            log.info("Waiting for %d of %d GPUs.", count, len(devices))
        while not taken:
            time.sleep(WAIT * random.uniform(0.5, 1.5))  # at random, so that two jobs do not block each other forever
            taken = _lock(count, devices, folder)
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order of nvidia-smi and the driver
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)


def _lock(count: int, devices: list[str], folder: Path) -> list[str]:
    """Lock and return `count` devices, or none: a job that kept some while waiting for more could wait forever."""
    locked: dict[str, IO[str]] = {}
    for device in devices:
        if len(locked) < count:
            lock = (folder / f"{device.replace('/', '-')}.lock").open("a")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked[device] = lock
            except BlockingIOError:
                lock.close()
    if len(locked) == count:
        _locks.extend(locked.values())
        return list(locked)
    for lock in locked.values():
        lock.close()
    return []


def _folder() -> Path:
    """Return the user's folder of lock files. XDG_RUNTIME_DIR would be removed at logout while jobs still run."""
    folder = Path(tempfile.gettempdir(), f"rankrefine-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder} belongs to another user; remove it or set TMPDIR.")
    return folder
