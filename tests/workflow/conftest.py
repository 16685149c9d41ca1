"""The miniature workflow, run once for all tests; each test gets its own copy of the finished folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from workflow.folder import ROOT, Folder, Python

from rankrefine.generate.recipes import genre_file

KEEP_ALL = {"min_positive": -1, "max_negative": 1, "min_margin": 0}  # the encoder is random
SOURCES = ("Snakefile", "workflow", "envs", "src", "config.yaml")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the whole run first: it is serial for the most part, and other processes run unit tests meanwhile."""
    first = next((item for item in items if "finished_run" in getattr(item, "fixturenames", ())), None)
    if first is not None:
        items.insert(0, items.pop(items.index(first)))


@pytest.fixture(scope="session")
def python() -> Iterator[Python]:
    """Servers for the runs of this process's tests."""
    with tempfile.TemporaryDirectory(prefix="rr-") as folder:  # the path of a socket has at most 107 bytes
        started = Python(Path(folder))
        yield started
        started.stop()


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


@pytest.fixture(scope="session")
def writing_run(finished_run: Path, python: Python, tmp_path_factory) -> Path:
    """The finished folder as if the language model had written the training examples and some seed sentences."""
    folder = Folder(tmp_path_factory.mktemp("writing") / "work", python)
    shutil.copytree(finished_run, folder.path)
    recipe = ROOT / "src/rankrefine/generate/recipes/syncse_partial.yaml"
    (folder.path / "recipe.yaml").write_text(recipe.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    folder.configure("examples", {"recipe": "syncse_partial", "count": 18, "scorer": "encoder2", **KEEP_ALL})
    (folder.path / "scratch.yaml").write_text(genre_file.find("scratch").read_text(encoding="utf-8") + "# mine\n")
    made_up = {"name": "made-up", "source": "sentences.txt"}
    folder.configure("seeds.sources", [made_up, {"name": "scratch", "source": "written"}])
    folder.configure("write.count", 20)
    folder.configure("seeds.min_words", 1)  # the fake engine writes single words
    folder.configure("seeds.require_pattern", "")
    folder.configure("base.objective", "soft_contrastive")
    folder.snakemake("--cores", "1", "results/examples/curated.parquet")
    folder.snakemake("--touch", "--cores", "1")  # all other files stay as they are
    folder.snakemake("--cores", "1", "--forcerun", "report")  # it has more files now
    return folder.path


@pytest.fixture(scope="session")
def scoring_run(writing_run: Path, python: Python, tmp_path_factory) -> Path:
    """The same folder as if the language model had rated the examples."""
    folder = Folder(tmp_path_factory.mktemp("scoring") / "work", python)
    shutil.copytree(writing_run, folder.path)
    shipped = ROOT / "src/rankrefine/llm/scoring_templates/plain_exemplars.yaml"
    (folder.path / "scoring.yaml").write_text(shipped.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    folder.configure("examples.scorer", "likelihood")
    folder.snakemake("--cores", "1", "results/examples/curated.parquet")
    folder.snakemake("--touch", "--cores", "1")
    return folder.path


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
def edited(finished: Folder, tmp_path: Path) -> Callable[[str, Callable[[str], str]], Folder]:
    """Call it with (file, change): the finished folder, run with a copy of the checkout whose file is changed."""

    def edit(file: str, change: Callable[[str], str]) -> Folder:
        project = tmp_path / "project"
        if not project.exists():
            project.mkdir()
            for name in SOURCES:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
                copy(ROOT / name, project / name)
        path = project / file
        text = path.read_text(encoding="utf-8")
        path.write_text(change(text), encoding="utf-8")
        finished.project = project
        return finished

    return edit


@pytest.fixture(autouse=True)
def _quiet(monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    os.environ.pop("SNAKEMAKE_PROFILE", None)
