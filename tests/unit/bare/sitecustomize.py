"""A Python that has only some of the installed packages: put this folder on PYTHONPATH.

RANKREFINE_ONLY names the packages, with spaces between them. Those and what they require can be imported; all others
can neither be imported nor found by their metadata, as if they were not installed. So pytest loads no plugins of them.
"""

import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

INSTALLED = {sysconfig.get_paths()[kind] for kind in ("purelib", "platlib")}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _closure(names: list[str]) -> set[str]:
    """Return the packages and all that they require, without extras."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    waiting = [_normal(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for requirement in map(Requirement, metadata.requires(name) or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(_normal(requirement.name))
    return found


def _hide() -> None:
    kept = _closure(os.environ["RANKREFINE_ONLY"].split())
    owners = metadata.packages_distributions().items()
    hidden = {module for module, packages in owners if kept.isdisjoint(map(_normal, packages))} - {"rankrefine"}
    find_module, find_packages = PathFinder.find_spec, metadata.MetadataPathFinder.find_distributions

    def find_spec(
        cls: type, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None and name in hidden:
            path = [folder for folder in sys.path if folder not in INSTALLED]
        return find_module(name, path, target)

    def find_distributions(*context: metadata.DistributionFinder.Context) -> Iterator[metadata.Distribution]:
        for package in find_packages(*context):
            if _normal(package.metadata["Name"]) in kept or str(package.locate_file("")) not in INSTALLED:
                yield package

    PathFinder.find_spec = classmethod(find_spec)
    metadata.MetadataPathFinder.find_distributions = find_distributions


_hide()
