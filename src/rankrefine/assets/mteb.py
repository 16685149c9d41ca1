"""The one place that imports MTEB: no hub, no files in the home folder, no advice in the log."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from rankrefine.encoders.opening import go_offline
from rankrefine.errors import UserError

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask


def load_mteb(offline: bool = True) -> ModuleType:
    """The `mteb` module (3 s on the first call); `offline` is decided by the first call of the process."""
    if offline:
        go_offline()
    _to_scratch()
    import mteb

    logging.getLogger("mteb").setLevel(logging.ERROR)  # else it advises other tasks than the configured one
    return mteb


@cache
def _to_scratch() -> None:
    """Have MTEB and `datasets` write to a folder that goes with the process.

    MTEB makes its results folder when it is imported, and `datasets` copies what it reads to a cache: by default both
    in the home folder, which may be read-only on a compute node. `datasets` may have been imported already.
    """
    scratch = tempfile.mkdtemp(prefix="rankrefine-mteb-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    os.environ["MTEB_CACHE"] = scratch
    import datasets

    datasets.config.HF_DATASETS_CACHE = Path(scratch)


def known_task(name: str, offline: bool = True) -> AbsTask:
    """MTEB's task of that name.

    Raises:
        UserError: MTEB has none; the nearest names are suggested.
    """
    from rankrefine.evaluate.catalogue import OWN

    mteb = load_mteb(offline)
    try:
        return mteb.get_task(name)
    except KeyError as error:
        names = {*OWN, *(task.metadata.name for task in mteb.get_tasks(exclude_superseded=False))}
        by_lower = {known.lower(): known for known in sorted(names)}
        near = [by_lower[match] for match in get_close_matches(name.lower(), by_lower, 3, 0.5)]
        hint = f"did you mean {' or '.join(near)}?" if near else "see mteb.get_tasks() for all names."
        raise UserError(f"MTEB has no task '{name}'; {hint}") from error
