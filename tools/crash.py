"""Kill the miniature workflow at random moments and check that nothing is lost.

    python tools/crash.py [--kills 8] [--seed 0] [--folder FOLDER]

One run is never killed. In another folder, `workflow/run.py` (the program of `make run`) is started, killed with its
whole process group by SIGKILL at a random moment at least 5 s after its start, and started again until it finishes;
if kills are left, the same follows in a new folder. All data and the weights of all models must be equal byte for byte
to those of the first run; exit code 1 if they are not. Each kill prints the number of written records and the running
rules, the last line the number of kills per rule. Jobs run in forks of a process that has imported their libraries
(tests/workflow/fork_server.py), so that most kills hit their work and not their imports.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from workflow.folder import ROOT, Python

RUN = [sys.executable, ROOT / "workflow" / "run.py", "--snakefile", ROOT / "Snakefile", "--cores", "2"]
DATA = (
    *("write/*.parquet", "seeds/pool.parquet", "generate/*.parquet", "consolidate/lists.parquet"),
    *("synthesize/*.parquet", "examples/*.parquet", "examples/README.md"),
)
MODELS = ("base/model/**/*", "refine/*/*/model/**/*", "encoder/**/*", "teacher/*/*.safetensors")
EARLIEST = 5.0  # seconds after a start; before, Snakemake has hardly begun
TIMEOUT = 30.0  # seconds until killed processes must have disappeared


def main() -> int:
    """Parse the arguments and run; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=8, help="number of kills (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the moments (default: 0)")
    parser.add_argument("--folder", type=Path, help="new folder to work in (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rr-") as temporary:
        folder = (options.folder or Path(temporary) / "runs").resolve()
        inputs = folder / "inputs"
        build = [sys.executable, ROOT / "tests" / "miniature" / "build.py", inputs]
        subprocess.run([*build, "--writing"], check=True, capture_output=True)
        python = Python(Path(temporary))
        try:
            differences = Crash(inputs, folder, python.environment()).run(options.kills, random.Random(options.seed))
        finally:
            python.stop()
    return 1 if differences else 0


class Crash:
    """Runs of the miniature in subfolders of `folder`."""

    def __init__(self, inputs: Path, folder: Path, environment: dict[str, str]) -> None:
        self._inputs, self._folder, self._environment = inputs, folder, environment

    def run(self, kills: int, moments: random.Random) -> list[str]:
        """Return the differences between an uninterrupted run and runs with `kills` kills in all."""
        whole = shutil.copytree(self._inputs, self._folder / "whole")
        began = time.monotonic()
        self._finish(whole)
        needed = time.monotonic() - began
        print(f"without a kill: {needed:.0f} s", flush=True)
        done, differences, hit = 0, [], Counter()
        for number in count():
            killed = shutil.copytree(self._inputs, self._folder / f"killed-{number}")
            began = time.monotonic()
            while done < kills:
                rules = self._kill(killed, moments.uniform(EARLIEST, max(EARLIEST + 2, needed / 2)))
                if rules is None:  # this run was faster
                    needed = min(needed, time.monotonic() - began)
                    break
                hit.update(rules)
                done += 1
            self._finish(killed)
            print(f"{done} kills, finished after {time.monotonic() - began:.0f} s", flush=True)
            found = list(_differences(whole / "results", killed / "results"))
            print(*found, sep="\n", end="\n" if found else "", flush=True)
            differences += found
            if done == kills:
                break
        print("rules that were hit: " + ", ".join(f"{rule} {times}" for rule, times in sorted(hit.items())))
        return differences

    def _finish(self, folder: Path) -> None:
        """Run to the end."""
        completed = subprocess.run(RUN, cwd=folder, env=self._environment, capture_output=True, text=True)
        if completed.returncode:
            raise SystemExit(f"The run failed with exit code {completed.returncode}: {completed.stderr[-3000:]}")

    def _kill(self, folder: Path, moment: float) -> list[str] | None:
        """Start a run and kill it after `moment` seconds; return the running rules, or None if it finished before."""
        with (folder / "run.log").open("ab") as log:
            process = subprocess.Popen(
                RUN, cwd=folder, env=self._environment, start_new_session=True, stdout=log, stderr=log
            )
            try:
                code = process.wait(moment)
            except subprocess.TimeoutExpired:
                rules = _running(process.pid)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                _wait_until_gone(process.pid)
                records = sum(1 for _ in (folder / "results").rglob("*.json"))
                names = ", ".join(rules) or "Snakemake alone"
                print(f"killed after {moment:.1f} s, {records} records written, running: {names}", flush=True)
                return rules
        if code:
            log = (folder / "run.log").read_text(encoding="utf-8")
            raise SystemExit(f"A start after a kill failed with exit code {code}: {log[-3000:]}")
        return None


def _running(group: int) -> list[str]:
    """Rules whose jobs run in a process group."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text(errors="replace").split("\0")
            if "rankrefine" in words[:-2] and os.getpgid(int(process.name)) == group:
                found.append(words[words.index("rankrefine") + 1])
        except OSError:  # the process has ended
            continue
    return sorted(found)


def _wait_until_gone(group: int) -> None:
    """Wait until no process of the group is left: the next start refuses to run beside one."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise SystemExit(f"Processes of a killed run still exist after {TIMEOUT:.0f} s.")


def _differences(whole: Path, killed: Path) -> Iterator[str]:
    for pattern in (*DATA, *MODELS):
        names = [
            {str(file.relative_to(root)) for file in root.glob(pattern) if file.is_file()} for root in (whole, killed)
        ]
        if not names[0]:
            yield f"{pattern}: the uninterrupted run has no such file"
        for name in sorted(names[0] ^ names[1]):
            yield f"{name} exists in only one of the two folders"
        for name in sorted(names[0] & names[1]):
            if not name.endswith(".md") and (whole / name).read_bytes() != (killed / name).read_bytes():
                yield f"{name} differs"
    yield from (f"{file} is a partial file" for file in killed.rglob("*.part"))


if __name__ == "__main__":
    sys.exit(main())
