"""Memory that is left: on Linux an allocation beyond it succeeds, and using it kills the process. So look first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from rankrefine.llm.interface import OutOfMemory

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
    """What is left in each control group that this process is in, up to the root; versions 1 and 2.

    Files that the kernel keeps in memory count as used there, but it gives them up when somebody needs the room.
    """
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    names = {kinds: name.lstrip("/") for _, kinds, name in (line.split(":", 2) for line in lines)}
    found = []
    for kinds, root, limit, used, cached in (
        ("", Path("/sys/fs/cgroup"), "memory.max", "memory.current", ("inactive_file", "active_file")),
        (
            "memory",
            Path("/sys/fs/cgroup/memory"),
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            ("total_inactive_file", "total_active_file"),
        ),
    ):
        group = root / names.get(kinds, "")
        for folder in (group, *group.parents):
            found += left_in(folder, limit, used, cached)
            if folder == root:
                break
    return found


def left_in(folder: Path, limit: str, used: str, cached: Sequence[str]) -> list[int]:
    """What is left in one control group: one number, or none where there is no limit."""
    try:
        most = (folder / limit).read_text(encoding="ascii").strip()
        taken = int((folder / used).read_text(encoding="ascii"))
        counts = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return []
    return [] if most == "max" else [int(most) - taken + sum(int(counts.get(name, 0)) for name in cached)]


@contextmanager
def told() -> Iterator[None]:
    """Tell running out of memory, of whatever device, as `OutOfMemory`."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise OutOfMemory("the GPU's memory is full") from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # what torch says of the processor's
            raise
        raise OutOfMemory("the memory is full") from error
