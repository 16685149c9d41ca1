"""Import MTEB without access to the hub, files in the home folder, or its own log messages.

No other module may be the first to import it.
"""

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable
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
    """Return the module `mteb` (3 s on the first call); only the first call of a process can leave the hub enabled."""
    if offline:
        go_offline()
    _to_scratch()
    import mteb

    logging.getLogger("mteb").setLevel(logging.ERROR)  # it recommends other tasks than the configured one
    return mteb


@cache
def _to_scratch() -> None:
    """Redirect the files of MTEB and `datasets` to a temporary folder of the process.

    MTEB creates its results folder on import, and `datasets` copies its input to a cache: by default both in the home
    folder, which may be read-only on a compute node. `datasets` may have been imported already.
    """
    scratch = tempfile.mkdtemp(prefix="rankrefine-mteb-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    os.environ["MTEB_CACHE"] = scratch
    import datasets

    datasets.config.HF_DATASETS_CACHE = Path(scratch)


def known_task(name: str, others: Iterable[str] = (), offline: bool = True) -> "AbsTask":
    """Return MTEB's task of that name.

    Raises:
        UserError: MTEB has no such task; the closest names are suggested, `others` among them.
    """
    mteb = load_mteb(offline)
    try:
        return mteb.get_task(name)
    except KeyError as error:
        names = {*others, *(task.metadata.name for task in mteb.get_tasks(exclude_superseded=False))}
        by_lower = {known.lower(): known for known in sorted(names)}
        close = [by_lower[match] for match in get_close_matches(name.lower(), by_lower, 3, 0.5)]
        hint = f"did you mean {' or '.join(close)}?" if close else "mteb.get_tasks() lists all names."
        raise UserError(f"MTEB has no task '{name}'; {hint}") from error
