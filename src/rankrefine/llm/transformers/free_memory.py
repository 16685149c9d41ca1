"""Free memory. On Linux an allocation beyond it succeeds and its use kills the process, so check before allocating."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from rankrefine.llm.interface import OutOfMemory

SPARE = 1.25  # a step takes more than the keys and values


def check(needed: int, device: torch.device) -> None:
    """Check that `needed` bytes fit the free memory of the processor; a GPU's allocator checks by itself.

    Raises:
        OutOfMemory: they clearly do not.
    """
    if device.type == "cpu" and (free := available()) is not None and needed * SPARE > free:
        raise OutOfMemory(f"{needed / 1e9:.1f} GB of keys and values exceed the {free / 1e9:.1f} GB of free memory")


def available() -> int | None:
    """Bytes that this process may still take: of the machine, or of its control group if fewer (SLURM sets one).

    None if the system does not say (not Linux).
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    return min([free, *_group_limits()])


def _group_limits() -> list[int]:
    """Free memory of each control group that this process is in, up to the root; versions 1 and 2."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    names = {kinds: name.lstrip("/") for _, kinds, name in (line.split(":", 2) for line in lines)}
    limits = []
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
            limits += free_in_group(folder, limit, used, cached)
            if folder == root:
                break
    return limits


def free_in_group(folder: Path, limit: str, used: str, cached: Sequence[str]) -> list[int]:
    """Free memory of one control group: one number, or none if there is no limit.

    The kernel's file cache counts as used in a group, but the kernel frees it on demand.
    """
    try:
        most = (folder / limit).read_text(encoding="ascii").strip()
        taken = int((folder / used).read_text(encoding="ascii"))
        counts = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return []
    return [] if most == "max" else [int(most) - taken + sum(int(counts.get(name, 0)) for name in cached)]


@contextmanager
def raising_out_of_memory() -> Iterator[None]:
    """Re-raise CPU and CUDA out-of-memory errors as `OutOfMemory`."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise OutOfMemory("the GPU's memory is full") from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # torch's message for the processor's memory
            raise
        raise OutOfMemory("the memory is full") from error
