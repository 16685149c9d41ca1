"""Checks on a GPU, without downloads or network: `make test-gpu` (docs/speed.md).

With RANKREFINE_TEST_DEVICE=cpu, the same checks run on the processor, with tiny models.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEVICE = os.environ.get("RANKREFINE_TEST_DEVICE", "cuda")
PACKAGES = ("torch", "transformers", "sentence-transformers")

if DEVICE not in ("cuda", "cpu"):
    raise pytest.UsageError(f"RANKREFINE_TEST_DEVICE is {DEVICE}; it must be cuda or cpu")
if DEVICE == "cpu":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # encoders and trainings take any GPU that they see
sys.path.append(str(HERE.parents[1] / "benchmarks"))
if find_spec("datasets") is None:
    sys.path.append(str(HERE / "stand_in"))


@dataclass(frozen=True)
class Size:
    """Sizes of the checks."""

    language_model: str  # names of `made_up`
    large: str
    encoder: str
    pairs: int  # of prompts
    tokens: int  # most of a completion
    sentences: int  # in a block of chains that runs out of memory
    lists: int


SIZES = {
    "cuda": Size("smollm2-135m", "llama-3-8b", "bert-base", pairs=16, tokens=32, sentences=128, lists=12),
    "cpu": Size("tiny-llama", "tiny-llama", "tiny-bert", pairs=8, tokens=8, sentences=12, lists=8),
}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Stop with one sentence if there is no GPU for the chosen tests."""
    if not any(item.path.is_relative_to(HERE) for item in session.items):
        return
    import torch

    if DEVICE == "cuda" and not torch.cuda.is_available():
        pytest.exit("torch finds no CUDA GPU, so that nothing was tested", returncode=1)


def pytest_report_header() -> list[str]:
    from importlib.metadata import version

    import torch

    lines = [", ".join(f"{package} {version(package)}" for package in PACKAGES)]
    if DEVICE == "cuda" and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        lines.append(f"GPU: {name}, CUDA {torch.version.cuda}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free")
    return lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests measured."""
    reports = (report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome))
    notes = [(report.head_line, text) for report in reports for name, text in report.user_properties if name == "note"]
    if notes:
        terminalreporter.section("measured")
    for test, text in notes:
        terminalreporter.line(f"{test}: {text}")


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Call it with a line for the end of the session."""
    return lambda text: record_property("note", text)


@pytest.fixture(scope="session")
def size() -> Size:
    return SIZES[DEVICE]


@pytest.fixture(scope="session")
def device() -> str:
    return DEVICE


@pytest.fixture(autouse=True)
def free_memory() -> Iterator[None]:
    """Free the GPU's memory after each test, whose models may be in cycles."""
    yield
    gc.collect()
    if DEVICE == "cuda":
        import torch

        torch.cuda.empty_cache()
