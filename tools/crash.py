"""Kills the miniature workflow again and again, and shows that nothing is lost.

    python tools/crash.py [--kills 8] [--seed 0] [--folder FOLDER]

Runs the miniature once to its end. Then, in another folder, `make run`'s path (workflow/run.py) is started and killed,
with -9 and its whole process group, at a random moment at least 5 s after its start, and started again, until it comes
to its end; if kills are left, in a new folder. What is left must be the same as without a kill: the bytes of all data
and the weights of all models. Exit code 1 if not. Every kill says how many records were written and which rules were
at work, and the last line how often each rule was hit.
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
from pathlib import Path

HERE = Path(__file__).parent
RUN = [
    *(sys.executable, str(HERE.parent / "workflow" / "run.py"), "--snakefile", str(HERE.parent / "Snakefile")),
    *("--cores", "2"),
]
DATA = ("seeds/pool.parquet", "generate/*.parquet", "consolidate/lists.parquet")
MODELS = ("base/model/**/*", "refine/*/*/model/**/*", "encoder/**/*", "teacher/*/*.safetensors")
EARLIEST = 5.0  # seconds after a start; before, Snakemake itself has hardly begun
GONE = 30.0  # seconds that killed processes may take to disappear


def main() -> int:
    """Run it and print what happened; the exit code says whether everything is the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=8, help="how often the run is killed (default 8)")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments (default 0)")
    parser.add_argument("--folder", type=Path, help="new folder to work in (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        inputs = folder / "inputs"
        subprocess.run(
            [sys.executable, HERE.parent / "tests" / "miniature" / "build.py", inputs], check=True, capture_output=True
        )
        wrong = crash(inputs, folder, options.kills, random.Random(options.seed))
    return 1 if wrong else 0


def crash(inputs: Path, folder: Path, kills: int, dice: random.Random) -> list[str]:
    """Sentences about what differs between a run in `folder` without a kill and those with `kills` in all."""
    whole = shutil.copytree(inputs, folder / "whole")
    began = time.monotonic()
    _to_the_end(whole)
    needed = time.monotonic() - began
    print(f"without a kill: {needed:.0f} s", flush=True)
    hit, wrong, struck = 0, [], Counter()
    while hit < kills:
        killed = shutil.copytree(inputs, folder / f"killed-{hit}")
        began = time.monotonic()
        while hit < kills:
            at_work = _kill(killed, dice.uniform(EARLIEST, max(EARLIEST + 2, needed / 2)))
            if at_work is None:
                break
            struck.update(at_work)
            hit += 1
        _to_the_end(killed)
        print(f"{hit} kills, at the end after {time.monotonic() - began:.0f} s", flush=True)
        found = list(_differences(whole / "results", killed / "results"))
        print(*found, sep="\n", end="\n" if found else "", flush=True)
        wrong += found
    print("rules that were hit: " + ", ".join(f"{rule} {count}" for rule, count in sorted(struck.items())))
    return wrong


def _kill(folder: Path, moment: float) -> list[str] | None:
    """Start a run and kill it after `moment` seconds; the rules that were at work, or None where it ended before."""
    with (folder / "run.log").open("ab") as log:
        running = subprocess.Popen(RUN, cwd=folder, start_new_session=True, stdout=log, stderr=log)
        try:
            code = running.wait(moment)
        except subprocess.TimeoutExpired:
            at_work = _at_work(running.pid)
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            _wait_until_gone(running.pid)
            done = sum(1 for _ in (folder / "results").rglob("*.json"))
            told = ", ".join(at_work) or "Snakemake alone"
            print(f"killed after {moment:.1f} s, {done} records written, at work: {told}", flush=True)
            return at_work
    if code:
        raise SystemExit(f"A start after a kill failed with {code}: {(folder / 'run.log').read_text()[-3000:]}")
    return None


def _at_work(group: int) -> list[str]:
    """The rules whose jobs run in a process group, by the verbs of their commands."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text(errors="replace").split("\0")
            if words[1:3] == ["-m", "rankrefine"] and os.getpgid(int(process.name)) == group:
                found.append(words[3])
        except OSError:  # it has ended
            continue
    return sorted(found)


def _wait_until_gone(group: int) -> None:
    """Until no process of the group is left: the next start rightly refuses to run beside one."""
    deadline = time.monotonic() + GONE
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise SystemExit("A killed run's processes do not go away.")


def _to_the_end(folder: Path) -> None:
    done = subprocess.run(RUN, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"The run failed with {done.returncode}: {done.stderr[-3000:]}")


def _differences(whole: Path, killed: Path) -> Iterator[str]:
    for pattern in (*DATA, *MODELS):
        names = [
            {str(file.relative_to(root)) for file in root.glob(pattern) if file.is_file()} for root in (whole, killed)
        ]
        if not names[0]:
            yield f"{pattern}: the uninterrupted run has no such file"
        for name in sorted(names[0] ^ names[1]):
            yield f"{name} is in one of the two folders alone"
        for name in sorted(names[0] & names[1]):
            if not name.endswith(".md") and (whole / name).read_bytes() != (killed / name).read_bytes():
                yield f"{name} differs"
    yield from (f"{file} was left half written" for file in killed.rglob("*.part"))


if __name__ == "__main__":
    sys.exit(main())
