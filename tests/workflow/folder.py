"""A working directory of the miniature, and the processes that run Snakemake and its jobs there."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import yaml
from workflow.fork_server import ForkServer, environment, executable

ROOT = Path(__file__).parents[2]
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
        self._jobs = folder / "jobs"
        self._jobs.mkdir()
        self._snakemake = ForkServer(folder, "snakemake", PLANNING, {})
        self._rankrefine = ForkServer(self._jobs, "rankrefine", JOBS, VARIABLES)
        self._program = str(executable(self._jobs))

    def run(self, *arguments: str, **request: object) -> subprocess.CompletedProcess[str]:
        """Run `python -m rankrefine`; `request` as in `fork_server.request_run`."""
        return self._run(self._rankrefine, *arguments, **request)

    def run_snakemake(self, *arguments: str, **request: object) -> subprocess.CompletedProcess[str]:
        """Run `python -m snakemake`, and the jobs that it starts, in forks."""
        if not {"--dry-run", "--unlock"} & {*arguments}:
            self._rankrefine.start()
        return self._run(self._snakemake, *arguments, executable=self._program, **request)

    def environment(self) -> dict[str, str]:
        """Environment variables with which `workflow/run.py` and Snakemake, as real processes, run jobs in forks."""
        self._rankrefine.start()
        return environment(self._jobs)

    def stop(self) -> None:
        """End the servers."""
        self._snakemake.stop()
        self._rankrefine.stop()

    @staticmethod
    def _run(server: ForkServer, *arguments: str, **request: object) -> subprocess.CompletedProcess[str]:
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
        snakefile = str(self.project / "Snakefile")
        completed = self._python.run_snakemake("--snakefile", snakefile, *arguments, folder=self.path)
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
