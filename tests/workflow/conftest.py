"""The miniature workflow, run once for all tests; each test gets its own copy of the finished folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[2]
SOURCES = ("Snakefile", "workflow", "envs", "src", "config.yaml")


class Folder:
    """A working directory with the miniature's inputs, and the checkout whose Snakefile it is run with."""

    def __init__(self, path: Path, project: Path = ROOT) -> None:
        self.path, self.project = path, project

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.project / "Snakefile"), *arguments]
        done = subprocess.run(command, cwd=self.path, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs that a dry run plans, by rule, without `all` and the jobs that fetch or check inputs."""
        out = self.snakemake("--dry-run", *arguments).stdout
        if "Nothing to be done" in out:
            return {}
        table = re.search(r"^job +count\n-+ +-+\n((?:\w+ +\d+\n)+)", out, re.MULTILINE)
        assert table, out
        counts = {rule: int(count) for rule, count in (line.split() for line in table[1].splitlines())}
        aside = ("total", "all", "asset", "local_asset", "check")
        return {rule: n for rule, n in counts.items() if rule not in aside}

    def configure(self, key: str, value: object) -> None:
        """Set one dotted key of config.yaml."""
        file = self.path / "config.yaml"
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        *sections, leaf = key.split(".")
        node = config
        for section in sections:
            node = node.setdefault(section, {})
        node[leaf] = value
        file.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")

    def read(self, *names: str) -> dict[str, bytes]:
        """Bytes of all files that match the patterns, by relative name."""
        files = sorted(file for name in names for file in self.path.glob(name) if file.is_file())
        return {str(file.relative_to(self.path)): file.read_bytes() for file in files}


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id: str) -> Path:
    """A folder that all test processes of this session see."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def inputs(shared: Path) -> Path:
    """The miniature's inputs, with a second encoder, data set and text beside the ones that are used."""
    folder = shared / "miniature-inputs"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            aside = shared / "miniature-inputs.part"
            script = ROOT / "tests" / "miniature" / "build.py"
            subprocess.run([sys.executable, script, aside], check=True, capture_output=True)
            for name in ("encoder", "sts"):
                shutil.copytree(aside / name, aside / f"{name}2")
            shutil.copy(aside / "sentences.txt", aside / "sentences2.txt")
            aside.rename(folder)
    return folder


@pytest.fixture(scope="session")
def finished_run(shared: Path, inputs: Path) -> Path:
    """A folder in which the miniature has run to its end."""
    folder = shared / "miniature-finished"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            aside = shared / "miniature-run"
            shutil.copytree(inputs, aside)
            done = Folder(aside).snakemake("--cores", "2")
            (aside / "run.log").write_text(done.stdout + done.stderr, encoding="utf-8")
            aside.rename(folder)
    return folder


@pytest.fixture
def fresh(inputs: Path, tmp_path: Path) -> Folder:
    """A folder with inputs and no results."""
    shutil.copytree(inputs, tmp_path / "fresh")
    return Folder(tmp_path / "fresh")


@pytest.fixture
def finished(finished_run: Path, tmp_path: Path) -> Folder:
    """A private copy of the finished folder, with the times of its files."""
    shutil.copytree(finished_run, tmp_path / "work")
    return Folder(tmp_path / "work")


@pytest.fixture
def edited(finished: Folder, tmp_path: Path) -> Callable[[str, str, str], Folder]:
    """Call it with (file, old, new) to run the finished folder with an edited copy of the checkout."""

    def edit(file: str, old: str, new: str) -> Folder:
        project = tmp_path / "project"
        if not project.exists():
            project.mkdir()
            for name in SOURCES:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
                copy(ROOT / name, project / name)
        path = project / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")
        finished.project = project
        return finished

    return edit


@pytest.fixture(autouse=True)
def _quiet(monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    os.environ.pop("SNAKEMAKE_PROFILE", None)
