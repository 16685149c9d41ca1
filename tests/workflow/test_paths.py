"""A run with non-ASCII paths, from a read-only checkout, in another results folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ODD = "Ünï cödé 文"


@pytest.fixture
def checkout(tmp_path: Path):
    """A copy of the checkout's files that a run needs, mounted read-only on a folder with a non-ASCII name."""
    writable, folder = tmp_path / "writable", tmp_path / ODD / "the project"
    writable.mkdir()
    shutil.copy2(ROOT / "Snakefile", writable)
    for name in ("workflow", "src", "envs"):
        shutil.copytree(ROOT / name, writable / name, ignore=shutil.ignore_patterns("__pycache__"))
    folder.mkdir(parents=True)
    if subprocess.run(["mount", "--bind", str(writable), str(folder)], capture_output=True).returncode != 0:
        pytest.skip("only root can mount a folder read-only")
    subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_odd_paths_a_read_only_checkout_and_another_results_folder(
    checkout, inputs, finished_run, python, tmp_path
) -> None:
    with pytest.raises(OSError):
        (checkout / "x").touch()
    place = tmp_path / f"{ODD} results"
    shutil.copytree(inputs, place)
    elsewhere = tmp_path / "start here"
    elsewhere.mkdir()
    arguments = ["--snakefile", str(checkout / "Snakefile"), "--cores", "2", "--directory", str(place)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # the first stages as `make run` starts them, in real processes
    command = [sys.executable, str(checkout / "workflow" / "run.py"), *arguments, "consolidate"]
    completed = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    completed = python.run_snakemake(*arguments, folder=elsewhere, environment=environment)
    assert completed.returncode == 0, completed.stderr
    for name in ("report.html", "encoder/modules.json", "scores.md"):
        assert (place / "results" / name).stat().st_size > 0
    for name in ("seeds/pool.parquet", "consolidate/lists.parquet", "encoder/model.safetensors"):
        assert (place / "results" / name).read_bytes() == (finished_run / "results" / name).read_bytes(), name
    assert not list(elsewhere.iterdir())
