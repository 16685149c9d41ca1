"""GPUs of a machine without a scheduler: each job takes its own, by a lock file that its end releases.

Snakemake counts GPUs but assigns none, and torch takes the first one it sees. Standard library only, and no torch:
which GPUs a process is to see must be said before torch is imported.
"""

from __future__ import annotations

import fcntl
import logging
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from rankrefine.errors import UserError

log = logging.getLogger(__name__)
DRIVER = Path("/proc/driver/nvidia/gpus")  # one folder for each GPU
WAIT = 1.0  # seconds between two looks at locks that others hold

_held: list[IO[str]] = []  # open until the process ends: however it ends, the system lets the locks go then


def present() -> list[str]:
    """NVIDIA GPUs of this machine as CUDA_VISIBLE_DEVICES names them: numbers in bus order, parts (MIG) by their UUID.

    From nvidia-smi, and where there is none from the driver's files.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return [str(number) for number, _ in enumerate(DRIVER.glob("*"))]
    try:
        told = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return listed(told.stdout) if told.returncode == 0 else []


def listed(text: str) -> list[str]:
    """The devices that `nvidia-smi -L` lists; a GPU that is cut into parts is its parts."""
    whole = re.split(r"^GPU (?=\d+:)", text, flags=re.MULTILINE)[1:]
    return [device for gpu in whole for device in re.findall(r"UUID: (MIG-[^)\s]+)", gpu) or [gpu.partition(":")[0]]]


def is_chosen(environment: Mapping[str, str]) -> bool:
    """Whether a scheduler or the user has said which GPUs there are to see."""
    return "SLURM_JOB_ID" in environment or "CUDA_VISIBLE_DEVICES" in environment


def places() -> int:
    """How many jobs of one GPU can run here at once; where the GPUs are chosen already, all jobs see the same ones."""
    if is_chosen(os.environ):
        return int(os.environ.get("CUDA_VISIBLE_DEVICES", "") not in ("", "-1", "NoDevFiles"))
    return len(present())


def take(count: int, devices: list[str] | None = None, locks: Path | None = None) -> None:
    """Keep `count` GPUs for this process until it ends, and let torch see those alone; wait while others have them.

    With 0 it sees none. Nothing happens where the GPUs are chosen already, or where there are none.

    Args:
        count: GPUs to take.
        devices: those there are; looked for where None.
        locks: folder of the lock files; one of the user's below the system's temporary folder where None.

    Raises:
        UserError: there are fewer, or the folder of the locks is another user's.
    """
    if is_chosen(os.environ) or not (devices := present() if devices is None else devices):
        return
    if count > len(devices):
        raise UserError(f"{count} GPUs are wanted but this machine has {len(devices)}; ask for as many.")
    taken: list[str] = []
    if count:
        folder = locks or _folder()
        told = False
        while not (taken := _free(count, devices, folder)):
            if not told:
                log.warning("Waiting until %d of %d GPUs are free.", count, len(devices))
                told = True
            time.sleep(WAIT * random.uniform(0.5, 1.5))  # two that want several must not keep step
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order in which nvidia-smi and the driver count
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)


def _free(count: int, devices: list[str], folder: Path) -> list[str]:
    """`count` devices whose locks are now ours, or none: who kept some and waited for more could wait for ever."""
    mine: dict[str, IO[str]] = {}
    for device in devices:
        lock = (folder / f"{device.replace('/', '-')}.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        mine[device] = lock
        if len(mine) == count:
            _held.extend(mine.values())
            return list(mine)
    for lock in mine.values():
        lock.close()
    return []


def _folder() -> Path:
    """The user's own folder of lock files; not XDG_RUNTIME_DIR, which ends with the login while jobs go on."""
    folder = Path(tempfile.gettempdir(), f"rankrefine-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder} belongs to another user; remove it or set TMPDIR.")
    return folder
