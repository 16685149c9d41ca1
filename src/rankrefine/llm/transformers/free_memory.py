"""Free memory. On Linux an allocation beyond it succeeds and its use kills the process, so check before allocating."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from rankrefine.llm.interface import OutOfMemory

SPARE = 1.25  # a step takes more than the keys and values
CONTROLLERS = (  # of versions 2 and 1: kind, root, files of one group, and the prefix of its statistics
    ("", Path("/sys/fs/cgroup"), "memory.max", "memory.current", ""),
    ("memory", Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
)
# messages of torch and of oneDNN, for the processor's memory; a primitive "descriptor" is another error
FULL = re.compile(r"can't allocate memory|could not (?:create|execute) a primitive$")


def check(needed: int, device: torch.device) -> None:
    """Raise `OutOfMemory` if `needed` bytes clearly exceed the free memory; a GPU's allocator checks by itself."""
    if device.type == "cpu" and (free := available()) is not None and needed * SPARE > free:
        raise OutOfMemory(f"{needed / 1e9:.1f} GB of keys and values exceed the {free / 1e9:.1f} GB of free memory")


def available() -> int | None:
    """Free memory in bytes, of the machine or of its control group if less (SLURM sets one); None if not on Linux."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    return min([free, *_group_limits()])


def _group_limits() -> list[int]:
    """Free memory of each control group of this process that has a limit, up to the root."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    names = {kind: name.lstrip("/") for _, kind, name in (line.split(":", 2) for line in lines)}
    limits = []
    for kind, root, *files in CONTROLLERS:
        group = root / names.get(kind, "")
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                limits += free_in_group(folder, *files)
    return limits


def free_in_group(folder: Path, limit: str, used: str, prefix: str) -> list[int]:
    """Free memory of one control group: one number, or none if there is no limit.

    The kernel's file cache counts as used in a group, but the kernel frees it on demand.
    """
    try:
        most = (folder / limit).read_text(encoding="ascii").strip()
        taken = int((folder / used).read_text(encoding="ascii"))
        counts = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return []
    cached = sum(int(counts.get(f"{prefix}{kind}_file", 0)) for kind in ("inactive", "active"))
    return [] if most == "max" else [int(most) - taken + cached]


@contextmanager
def raising_out_of_memory() -> Iterator[None]:
    """Re-raise CPU and CUDA out-of-memory errors as `OutOfMemory`."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise OutOfMemory("the GPU's memory is full") from error
    except RuntimeError as error:
        if not FULL.search(str(error)):
            raise
        raise OutOfMemory("the memory is full") from error
