"""Memory that is left: on Linux an allocation beyond it succeeds, and using it kills the process. So look first."""

from __future__ import annotations

from pathlib import Path

import torch

from rankrefine.generate.engines.base import OutOfMemory

SPARE = 1.25  # what is asked for is not all that a step takes


def check(needed: int, device: torch.device) -> None:
    """Raise `OutOfMemory` if `needed` bytes are clearly more than the processor's memory has left.

    A GPU tells by itself, when it allocates.
    """
    if device.type == "cpu" and (left := available()) is not None and needed * SPARE > left:
        raise OutOfMemory(f"{needed / 1e9:.1f} GB of keys and values do not fit the {left / 1e9:.1f} GB that are left")


def available() -> int | None:
    """Bytes that this process may still take: the machine's, or its control group's if that is less (SLURM sets one).

    None where the system does not say (not Linux).
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        left = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    return min([left, *_group_limits()])


def _group_limits() -> list[int]:
    """What is left in each control group (version 2) that this process is in, up to the root."""
    try:
        name = Path("/proc/self/cgroup").read_text(encoding="utf-8").strip().rpartition("::")[2].lstrip("/")
        root, group = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup", name)
    except OSError:
        return []
    found = []
    for folder in (group, *group.parents):
        try:
            limit = (folder / "memory.max").read_text(encoding="ascii").strip()
            used = int((folder / "memory.current").read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        if limit != "max":
            found.append(int(limit) - used)
        if folder == root:
            break
    return found
