"""Real embedded assets, fetched once for all slow tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rankrefine.assets import embedded
from rankrefine.assets import run as fetch


@pytest.fixture(scope="session")
def asset(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Call it with the name of an embedded asset for its manifest."""
    folder = tmp_path_factory.mktemp("assets")

    def fetched(name: str) -> Path:
        manifest = folder / f"{name}.json"
        if not manifest.exists():
            fetch.run(f"embedded:{name}", embedded.CATALOGUE[name].kind, folder / name, manifest)
        return manifest

    return fetched
