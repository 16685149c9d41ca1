"""Provenance of an output: configuration, versions and wall time, written as a JSON record beside the data."""

import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rankrefine import __version__


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python, rankrefine and those of the packages that are installed."""
    installed = {"python": platform.python_version(), "rankrefine": __version__}
    for package in packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


class Record:
    """Record of a stage. Create it first in a stage: the wall time begins with its construction."""

    def __init__(self, stage: str, config: dict[str, Any], *packages: str) -> None:
        self._stage, self._config, self._packages = stage, config, packages
        self._started = time.monotonic()

    def inputs(self) -> dict[str, Any]:
        """Return configuration and versions, which identify unfinished work that can be resumed."""
        return {"config": self._config, "versions": versions(*self._packages)}

    def finish(self, **fields: Any) -> dict[str, Any]:
        """Return the complete record: stage, `fields`, configuration, versions and wall time in seconds."""
        seconds = round(time.monotonic() - self._started, 2)
        return {"stage": self._stage, **fields, **self.inputs(), "seconds": seconds}
