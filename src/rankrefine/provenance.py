"""What made an artefact: versions, parameters, time. Written as JSON beside every stage's data."""

from __future__ import annotations

import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rankrefine import __version__


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, rankrefine and the named packages that are installed."""
    found = {"python": platform.python_version(), "rankrefine": __version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


class Record:
    """Collects a stage's statistics and closes them with the wall time.

    `started` is the moment of construction: make it first thing in a stage.
    """

    def __init__(self, stage: str, config: dict[str, Any], *packages: str) -> None:
        self._stage, self._config, self._packages = stage, config, packages
        self._started = time.monotonic()

    def made_by(self) -> dict[str, Any]:
        """The settings and versions, for those who must know whether something was made alike."""
        return {"config": self._config, "versions": versions(*self._packages)}

    def finish(self, **fields: Any) -> dict[str, Any]:
        """The stage's record: `fields` between its name and what made it."""
        return {
            "stage": self._stage,
            **fields,
            **self.made_by(),
            "seconds": round(time.monotonic() - self._started, 2),
        }
