"""The miniature workflow, run once for all tests; each test gets its own copy of the finished folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from workflow.fork_server import ForkServer, executable

ROOT = Path(__file__).parents[2]
SOURCES = ("Snakefile", "workflow", "envs", "src", "config.yaml")
# libraries that most runs import; others are imported by the run that needs them
PLANNING = ("snakemake.cli", "snakemake.report.html_reporter", "smart_open", "jsonschema", "pulp", "pandas")
JOBS = (
    "sentence_transformers",
    "transformers.trainer",
    "datasets",
    "mteb",
    "pandas",
    "matplotlib.pyplot",
    "jsonschema",
)
# set by a job before it imports these libraries, which read them at once
VARIABLES = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
}


class Python:
    """`python -m snakemake` and `python -m rankrefine` in forks of processes that have imported their libraries.

    `finished_run`, `workflow/run.py` and all runs that are killed start real processes instead.
    """

    def __init__(self, folder: Path) -> None:
        self.snakemake = ForkServer(folder, "snakemake", PLANNING, {})
        self.rankrefine = ForkServer(folder, "rankrefine", JOBS, VARIABLES)
        self.program = str(executable(folder))

    def run(self, server: ForkServer, *arguments: str, **request: object) -> subprocess.CompletedProcess[str]:
        """Run a server's module with the arguments; the result holds what it printed."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            code = server.run(*arguments, streams=(0, out.fileno(), err.fileno()), **request)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(arguments, code, out.read(), err.read())


class Folder:
    """A working directory with the miniature's inputs, and the checkout whose Snakefile it is run with."""

    def __init__(self, path: Path, python: Python, project: Path = ROOT) -> None:
        self.path, self.project, self._python = path, project, python

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in this folder; `check` asserts that it succeeds."""
        if not {"--dry-run", "--unlock"} & {*arguments}:
            self._python.rankrefine.start()  # for the jobs
        arguments = ("--snakefile", str(self.project / "Snakefile"), *arguments)
        completed = self._python.run(
            self._python.snakemake, *arguments, folder=self.path, executable=self._python.program
        )
        assert not check or completed.returncode == 0, completed.stdout + completed.stderr
        return completed

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs that a dry run plans, by rule, without `all` and the jobs that fetch or check inputs."""
        out = self.snakemake("--dry-run", *arguments).stdout
        if "Nothing to be done" in out:
            return {}
        table = re.search(r"^job +count\n-+ +-+\n((?:\w+ +\d+\n)+)", out, re.MULTILINE)
        assert table, out
        counts = {rule: int(count) for rule, count in (line.split() for line in table[1].splitlines())}
        ignored = ("total", "all", "asset", "local_asset", "check")
        return {rule: n for rule, n in counts.items() if rule not in ignored}

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
def python() -> Iterator[Python]:
    """Servers for the runs of this process's tests."""
    with tempfile.TemporaryDirectory(prefix="rr-") as folder:  # the path of a socket has at most 107 bytes
        started = Python(Path(folder))
        yield started
        started.snakemake.stop()
        started.rankrefine.stop()


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
            temporary = shared / "miniature-inputs.part"
            script = ROOT / "tests" / "miniature" / "build.py"
            subprocess.run([sys.executable, script, temporary], check=True, capture_output=True)
            for name in ("encoder", "sts"):
                shutil.copytree(temporary / name, temporary / f"{name}2")
            shutil.copy(temporary / "sentences.txt", temporary / "sentences2.txt")
            temporary.rename(folder)
    return folder


@pytest.fixture(scope="session")
def finished_run(shared: Path, inputs: Path) -> Path:
    """A folder in which the miniature has run to its end, every job in a Python of its own."""
    folder = shared / "miniature-finished"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            temporary = shared / "miniature-run"
            shutil.copytree(inputs, temporary)
            command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
            completed = subprocess.run(command, cwd=temporary, capture_output=True, text=True)
            assert completed.returncode == 0, completed.stdout + completed.stderr
            (temporary / "run.log").write_text(completed.stdout + completed.stderr, encoding="utf-8")
            temporary.rename(folder)
    return folder


@pytest.fixture
def fresh(inputs: Path, python: Python, tmp_path: Path) -> Folder:
    """A folder with inputs and no results."""
    shutil.copytree(inputs, tmp_path / "fresh")
    return Folder(tmp_path / "fresh", python)


@pytest.fixture
def finished(finished_run: Path, python: Python, tmp_path: Path) -> Folder:
    """A private copy of the finished folder, with the times of its files."""
    shutil.copytree(finished_run, tmp_path / "work")
    return Folder(tmp_path / "work", python)


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
