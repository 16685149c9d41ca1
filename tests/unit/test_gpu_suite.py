"""The checks of `make test-gpu` themselves: on the processor, with tiny models and the packages that they may need."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch  # noqa: F401 (without it, conftest.py skips this module)

ROOT = Path(__file__).parents[2]
# what a machine with a GPU must have; tests/unit/bare hides all that these do not require
PACKAGES = "torch transformers sentence-transformers numpy pyarrow pandas peft pytest scikit-learn"


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Run a Python with these packages alone, as if the package rankrefine were not installed either."""
    own = {"RANKREFINE_ONLY": PACKAGES, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).with_name("bare"))}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "RANKREFINE_"))}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=kept | own | variables, capture_output=True, text=True)


def suite(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
    return run("-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", *arguments, **variables)


GROUPS = (("test_training.py",), ("test_generation.py", "test_memory.py", "test_benchmarks.py"))


@pytest.mark.parametrize("files", GROUPS, ids=["training", "the rest"])
def test_the_checks_pass_on_the_processor(files: tuple[str, ...]) -> None:
    done = suite(*(f"tests/gpu/{file}" for file in files), RANKREFINE_TEST_DEVICE="cpu")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    counts = done.stdout.splitlines()[-1]
    assert re.search(r"= \d+ passed in ", counts), f"some were skipped: {counts}"


def test_all_files_of_checks_are_among_them() -> None:
    files = {file.name for file in (ROOT / "tests" / "gpu").glob("test_*.py")}
    assert {file for group in GROUPS for file in group} == files


def test_without_a_gpu_one_sentence_says_so() -> None:
    done = suite("tests/gpu/test_generation.py", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 1
    assert "Exit: torch finds no CUDA GPU, so that nothing was tested" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    speed = run("benchmarks/gpu_speed.py", CUDA_VISIBLE_DEVICES="", PYTHONPATH="src")
    assert (speed.returncode, speed.stderr) == (1, "torch finds no CUDA GPU, so that nothing was measured.\n")


def test_an_unknown_device_is_named() -> None:
    done = suite("tests/gpu/test_generation.py", RANKREFINE_TEST_DEVICE="tpu")
    assert done.returncode != 0
    assert "RANKREFINE_TEST_DEVICE is tpu; it must be cuda or cpu" in done.stdout + done.stderr


def test_packages_beyond_those_are_missing_there() -> None:
    """Otherwise the tests above show nothing."""
    code = "from importlib.util import find_spec; print([name for name in {names} if find_spec(name)])"
    names = (
        "torch",
        "sentence_transformers",
        "yaml",
        "datasets",
        "mteb",
        "snakemake",
        "jsonschema",
        "xdist",
        "hypothesis",
    )
    done = run("-c", code.format(names=names))
    assert done.stdout.strip() == "['torch', 'sentence_transformers', 'yaml']", done.stderr
