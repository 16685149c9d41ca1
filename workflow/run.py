"""Run Snakemake behind a lock and resume after a kill; the program of `make run`.

    python workflow/run.py --cores all [further arguments of snakemake]

A killed Snakemake leaves its lock behind, which then blocks the next run although no process holds it. This program
takes an flock on results/.lock, checks for other runs and for jobs of a killed run, removes Snakemake's lock, and
starts Snakemake with --rerun-incomplete.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from rankrefine.config import load
from rankrefine.errors import UserError
from rankrefine.locks import acquire

MINIMUM_SPACE = 2**16  # bytes
IN_USE = 75  # exit code: another run uses the folder (EX_TEMPFAIL)


def main(arguments: list[str]) -> int:
    """Run Snakemake with the arguments and return its exit code, or 75 if another run uses the folder."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--directory", "-d", type=Path, default=Path())
    parser.add_argument("--configfile", "--configfiles", nargs="+", default=[])
    folder, overlays = vars(parser.parse_known_args(arguments)[0]).values()
    try:
        for file in overlays:  # Snakemake reads them before the Snakefile, and shows a traceback for broken YAML
            if Path(file).is_file():
                load.read(file)
    except UserError as error:
        return fail(str(error), 1)
    folder.mkdir(parents=True, exist_ok=True)
    code = 1 if is_full(folder) else run(arguments, folder.resolve())
    if code and is_full(folder):  # Snakemake shows a traceback at best
        return fail(f"The disk is full: cannot write to {folder.resolve()}; free some space and run again.", code)
    return code


def is_full(folder: Path) -> bool:
    """Return True if the disk of the folder has no space for Snakemake's own files."""
    return shutil.disk_usage(folder).free < MINIMUM_SPACE


def run(arguments: list[str], folder: Path) -> int:
    """Run Snakemake unless another run, or a job of a killed run, still uses the folder."""
    (folder / "results").mkdir(exist_ok=True)
    with (folder / "results" / ".lock").open("w") as lock:
        if not acquire(lock):
            return fail("Another run is using this folder; wait for it or stop it.", IN_USE)
        if processes := running(folder):
            pids = ", ".join(map(str, processes))
            return fail(
                f"Snakemake or a job of a killed run is still running in this folder (process {pids}); "
                "wait for it or stop it.",
                IN_USE,
            )
        snakemake = [sys.executable, "-m", "snakemake"]
        # Snakemake reads and writes files in the encoding of the terminal, which may not be UTF-8
        environment = os.environ | {"PYTHONUTF8": "1", "PYTHONIOENCODING": f"{sys.stdout.encoding}:backslashreplace"}
        # with the same arguments, which may name another Snakefile or folder; the run reports errors in them
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*snakemake, *arguments, "--unlock"], env=environment, **quiet)
        return subprocess.run([*snakemake, "--rerun-incomplete", *arguments], env=environment).returncode


def fail(message: str, code: int) -> int:
    """Print the error message and return the exit code."""
    print(message, file=sys.stderr)
    return code


def running(folder: Path) -> list[int]:
    """Processes in the folder that run Snakemake or a job of the workflow (on Linux; empty elsewhere)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder and is_run((process / "cmdline").read_bytes()):
                found.append(int(process.name))
        except OSError:  # the process has ended or belongs to another user
            continue
    return sorted(found)


def is_run(command: bytes) -> bool:
    """Return True for a command line (NUL-terminated arguments) of Snakemake or of a rankrefine job."""
    words = command.decode(errors="replace").split("\0")[:4]
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    return module in ("snakemake", "rankrefine") or any(Path(word).name == "snakemake" for word in words[:2])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
