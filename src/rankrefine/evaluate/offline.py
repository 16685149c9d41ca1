"""The one place that imports MTEB: no hub, no files in the home folder, no advice in the log."""

from __future__ import annotations

import logging
import os
import tempfile
from types import ModuleType

from rankrefine.encoder import go_offline


def load_mteb() -> ModuleType:
    """The `mteb` module (3 s on the first call)."""
    go_offline()
    # importing it makes its default results folder, by default in the home folder, which may be read-only on a
    # compute node; we always pass a folder of our own, so that this one only has to exist
    os.environ.setdefault("MTEB_CACHE", tempfile.gettempdir())
    import mteb

    logging.getLogger("mteb").setLevel(logging.ERROR)  # else it advises other tasks than the configured one
    return mteb
