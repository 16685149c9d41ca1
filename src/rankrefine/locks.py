"""Locks between processes that write the same files. Standard library only.

A lock belongs to an open file, so that the system releases it when the process ends, however it ends.
"""

import fcntl
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from rankrefine.errors import UserError

log = logging.getLogger(__name__)


class InUse(UserError):
    """Another process writes `path`."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is in use by {holder}; wait until it ends, or end it, and run again.")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a file or folder, which need not exist, by a hidden file beside it, which is removed at the end.

    Raises:
        InUse: another process has locked it.
    """
    file = path.with_name(f".{path.name}.lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    with _open(file, path) as stream:
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {platform.node()}")
        stream.flush()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def _open(file: Path, path: Path) -> IO[str]:
    """Open and lock `file`; again if it was removed in between, because the lock of a removed file excludes nobody."""
    while True:
        stream = file.open("a+", encoding="utf-8")
        if not acquire(stream):
            with stream:
                stream.seek(0)
                raise InUse(path, stream.read() or "another process")
        with suppress(FileNotFoundError):
            if os.path.samestat(file.stat(), os.fstat(stream.fileno())):
                return stream
        stream.close()


def acquire(stream: IO[str]) -> bool:
    """Lock an open file until it is closed; return False if another process has locked it.

    A file system without locks (some network file systems) gives a warning and True.
    """
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        log.warning("%s cannot be locked (%s): never run two jobs that write the same files.", stream.name, error)
    return True
