"""Skip modules and tests that need torch in environments without it (tools/pythons.py).

A test needs torch if it ends with an ImportError that names torch, or with an error caused by one. Without
RANKREFINE_WITHOUT_TORCH=1, a missing torch is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

if os.environ.get("RANKREFINE_WITHOUT_TORCH") == "1":

    def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
        return _Module.from_parent(parent, path=module_path)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup() -> Generator[None]:
        return (yield from _skipping())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call() -> Generator[None]:
        return (yield from _skipping())


class _Module(pytest.Module):
    def collect(self) -> list[pytest.Item | pytest.Collector]:
        try:
            return list(super().collect())
        except self.CollectError as error:
            _skip(error)
            raise


def _skipping() -> Generator[None]:
    try:
        return (yield)
    except Exception as error:
        _skip(error)
        raise


def _skip(error: BaseException | None) -> None:
    """Skip the test if a missing torch caused `error`."""
    while error is not None:
        if isinstance(error, ImportError) and "torch" in str(error).lower():
            pytest.skip("needs torch", allow_module_level=True)
        error = error.__cause__ or error.__context__
