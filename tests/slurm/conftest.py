"""A cluster for the tests of this folder, and the miniature with shards that fail in different ways."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from slurm import cluster

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def edited_profile(folder: Path) -> Path:
    """The shipped profile with its marked block filled in and limits for the miniature."""
    text = (ROOT / "workflow" / "profiles" / "slurm" / "profile.yaml").read_text(encoding="utf-8")
    for old, new in (
        ('slurm_account: "EDIT"', f'slurm_account: "{cluster.ACCOUNT}"'),
        ('&gpu {slurm_partition: "EDIT"', f'&gpu {{slurm_partition: "{cluster.GPU_PARTITION}"'),
        ('slurm_partition: "EDIT"', f'slurm_partition: "{cluster.PARTITION}"'),
    ):
        assert text.count(old) == 1, f"{old} is not in the profile once"
        text = text.replace(old, new)
    assert '"EDIT"' not in text
    profile = yaml.safe_load(text)
    for rule, resources in profile["set-resources"].items():
        if rule != "gpu_node":
            resources["mem_mb"] = re.sub(r"^\d+", "700" if rule == "generate" else "3000", str(resources["mem_mb"]))
            resources["runtime"] = re.sub(r"^\d+", "10", resources["runtime"])
    # the shard that takes too long has a limit of one minute, the minimum of SLURM
    generate = profile["set-resources"]["generate"]
    generate["runtime"] = generate["runtime"].replace("10", "(1 if wildcards.shard == '00001' else 10)")
    profile["set-threads"] = dict.fromkeys(profile["set-threads"], 1)
    profile |= {"jobs": 8, "slurm-init-seconds-before-status-checks": 1}
    folder.mkdir()
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    return folder


class Run:
    """A working directory with the miniature in five shards, and the cluster."""

    def __init__(self, path: Path, lab: cluster.Cluster) -> None:
        self.path, self.lab = path, lab
        self.profile = edited_profile(path / "profile")
        self.output = path / "snakemake.log"
        self.processes: list[subprocess.Popen] = []

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake with the profile in its own process group; its output goes to `output`."""
        command = [sys.executable, str(HERE / "pinned.py"), "--snakefile", str(ROOT / "Snakefile")]
        with self.output.open("a") as output:
            started = subprocess.Popen(
                [*command, "--profile", str(self.profile), *arguments],
                cwd=self.path,
                env=self.lab.environment | {"NO_COLOR": "1", "OMP_NUM_THREADS": "1"},
                start_new_session=True,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(started)
        return started

    def end(self) -> None:
        """Kill the processes that still run."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    def printed(self) -> str:
        """Output of Snakemake so far, in all runs."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def until(self, condition: Callable[[], object], what: str, seconds: float = 240) -> None:
        """Wait until `condition` is true."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not after {seconds} s\n{self.printed()[-6000:]}"
            time.sleep(0.2)

    def starts(self, name: str) -> dict | None:
        """Record that shard_python.py wrote about SHARD.ATTEMPT, if it has started."""
        file = self.path / "starts" / f"{name}.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

    def finished(self, shard: int) -> bool:
        """Return True if Snakemake knows that a shard is finished."""
        text = self.printed()
        job = re.search(rf"Job (\d+): Stage 2: generating ranking lists, shard {shard:05d}\n", text)
        return job is not None and f"Finished jobid: {job[1]} (" in text

    def time_of(self, name: str) -> int:
        """Modification time of a parquet file."""
        return (self.path / "results" / f"{name}.parquet").stat().st_mtime_ns

    def queue(self) -> dict[str, str]:
        """Queued and running jobs: comment -> job ID."""
        lines = self.lab.call("squeue", "--me", "--noheader", "--format=%k|%i").splitlines()
        return dict(line.split("|") for line in lines)


@pytest.fixture(scope="session")
def lab() -> Iterator[cluster.Cluster]:
    """A running cluster; where SLURM is unavailable, skip the test, or fail with RANKREFINE_NEED_SLURM=1."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    started = cluster.Cluster(folder)
    try:
        try:
            cluster.install()
            started.up()
        except cluster.Unavailable as error:
            (pytest.fail if os.environ.get("RANKREFINE_NEED_SLURM") == "1" else pytest.skip)(str(error))
        yield started
    finally:
        started.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory) -> Path:
    """The inputs of the miniature in five shards; the language model also writes sentences and examples."""
    folder = tmp_path_factory.mktemp("inputs") / "miniature"
    subprocess.run([sys.executable, ROOT / "tests" / "miniature" / "build.py", folder, "--writing"], check=True)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config["generate"]["shard_size"] = 4
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def run(inputs: Path, lab: cluster.Cluster, tmp_path_factory) -> Iterator[Run]:
    """A folder for runs on the cluster, with shards that fail."""
    folder = tmp_path_factory.mktemp("cluster") / "run"
    shutil.copytree(inputs, folder)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "shard_python.py"} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config["generate"]["python"] = str(python)
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    on_cluster = Run(folder, lab)
    yield on_cluster
    on_cluster.end()
