"""A full disk: one error message, no partial output, and the same results once there is space."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITTEN = ("output", "stats", "card", "manifest", "history", "parquet", "table", "mteb", "cards", "selection", "page")
RECORDS = (".json", ".md")  # they hold times
# kB that are left: the first file fails, or one in the middle
STAGES = {
    "asset": 0,
    "check": 0,
    "seeds": 0,
    "write": 4,
    "generate": 4,
    "synthesize": 4,
    "examples": 4,
    "rate": 0,
    "likelihood": 0,
    "curate": 4,
    "consolidate": 4,
    "base": 60,
    "teacher": 8,
    "refine": 500,  # the best model so far fits, the first checkpoint does not
    "task": 0,
    "overlap": 0,
    "evaluate": 4,  # the store of embeddings
    "scores": 4,
    "export": 100,
    "report": 60,
}


class Disk:
    """A small file system with a copy of a folder, and a file that takes the space."""

    def __init__(self, path: Path, inputs: Path, python) -> None:
        self.path, self._filler, self._python = path, path / "filler", python
        shutil.copytree(inputs, path, dirs_exist_ok=True)

    def leave(self, kilobytes: int) -> None:
        """Take all space but this."""
        disk = os.statvfs(self.path)
        with self._filler.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, disk.f_bavail * disk.f_frsize - 1024 * kilobytes)

    def free(self) -> None:
        self._filler.unlink()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a job."""
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        if arguments[0] == "report":  # in a fork, matplotlib's layout rounds differently in the last bit
            command = [sys.executable, "-m", "rankrefine", *arguments]
            return subprocess.run(command, cwd=self.path, env=environment, capture_output=True, text=True)
        return self._python.run(*arguments, folder=self.path, environment=environment)

    def make_run(self, target: str) -> subprocess.CompletedProcess[str]:
        """Run workflow/run.py, everything in real processes."""
        run = [sys.executable, ROOT / "workflow" / "run.py", "--snakefile", ROOT / "Snakefile", "--cores", "1"]
        return subprocess.run([*run, target], cwd=self.path, capture_output=True, text=True)


@pytest.fixture
def small(tmp_path: Path):
    """An empty file system of 32 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


# the rules of a run that writes training examples
WRITING = ("write", "synthesize", "examples", "rate", "likelihood", "curate")


@pytest.fixture(scope="session")
def commands(finished_run: Path, writing_run: Path, scoring_run: Path, python) -> dict[str, list[str]]:
    """Arguments of one job of each rule."""
    plan = ["--snakefile", str(ROOT / "Snakefile"), "--nolock", "--cores", "2", "--dry-run", "--forceall"]
    found = {}
    for folder in (scoring_run, writing_run, finished_run):
        completed = python.run_snakemake(*plan, "--printshellcmds", folder=folder)
        lines = re.findall(r"Shell command: .* -m rankrefine (.*)", completed.stdout + completed.stderr)
        found |= {line.split()[0]: shlex.split(line) for line in lines}
    return found


def written(command: list[str]) -> list[Path]:
    """The files and folders that a job writes."""
    return [Path(value) for flag, value in pairwise(command) if flag[2:] in WRITTEN]


def content(folder: Path, outputs: list[Path]) -> dict[str, bytes]:
    """All files of the outputs; of records the name alone."""
    files = [file for output in outputs for file in (folder / output, *(folder / output).rglob("[!.]*"))]
    return {
        str(file.relative_to(folder)): b"" if file.suffix in RECORDS else file.read_bytes()
        for file in files
        if file.is_file()
    }


@pytest.mark.parametrize("rule", STAGES)
def test_a_stage_ends_in_one_sentence_and_leaves_nothing_half_written(
    small: Path,
    finished_run: Path,
    writing_run: Path,
    scoring_run: Path,
    python,
    commands: dict[str, list[str]],
    rule: str,
) -> None:
    command = commands[rule]
    finished_run = {"likelihood": scoring_run}.get(rule, writing_run if rule in WRITING else finished_run)
    outputs = written(command)
    disk = Disk(small, finished_run, python)
    for path in (*outputs, Path("results/cache")):
        shutil.rmtree(small / path) if (small / path).is_dir() else (small / path).unlink(missing_ok=True)
    disk.leave(STAGES[rule])
    completed = disk.run(*command)
    assert completed.returncode == 1, completed.stderr
    (sentence,) = (line for line in completed.stderr.splitlines() if "error: " in line)
    assert sentence.startswith("rankrefine: error: The disk is full: could not write results/")
    assert sentence.endswith("; free some space there, or in the folder of temporary files (TMPDIR), and run again.")
    assert "Traceback" not in completed.stderr
    assert not [path for path in small.rglob("*.part")]
    whole = content(finished_run, outputs)
    assert content(small, outputs).items() < whole.items()
    disk.free()
    again = disk.run(*command)
    assert again.returncode == 0, again.stderr
    assert content(small, outputs) == whole
    assert not list(small.rglob(".work"))


def test_make_run_says_so_also_where_snakemake_itself_cannot_write(
    small: Path, inputs: Path, finished_run: Path, python
) -> None:
    disk = Disk(small, inputs, python)
    for kilobytes in (0, 80):  # too few for a start; they run out on the way
        disk.leave(kilobytes)
        completed = disk.make_run("consolidate")
        assert completed.returncode == 1, completed.stderr
        assert completed.stderr.splitlines()[-1].startswith("The disk is full: ")
        assert kilobytes or "Traceback" not in completed.stderr
        assert not list(small.rglob("*.part"))
        disk.free()
    assert disk.make_run("consolidate").returncode == 0
    data = [Path("results", name) for name in ("seeds", "generate", "consolidate")]
    assert content(small, data) == content(finished_run, data)
