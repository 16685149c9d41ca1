"""What `make run` runs: one Snakemake at a time in a folder, and on from where a killed one stopped.

    python workflow/run.py --cores all [anything else for snakemake]

Snakemake leaves its own lock behind when it is killed, and then refuses to go on; that lock cannot say whether its run
is still alive. So this holds an flock on results/.lock, looks for other runs and for jobs that a killed run left, and
only then removes Snakemake's lock and starts with --rerun-incomplete.
"""

from __future__ import annotations

import argparse
import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from rankrefine.config import load as config
from rankrefine.errors import UserError

NEEDED = 2**16  # bytes


def main(arguments: list[str]) -> int:
    """Run Snakemake with the arguments and return its exit code; 75 when another run is under way."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--directory", "-d", type=Path, default=Path())
    parser.add_argument("--configfile", "--configfiles", nargs="+", default=[])
    folder, overlays = vars(parser.parse_known_args(arguments)[0]).values()
    try:
        for file in overlays:  # Snakemake reads them before the Snakefile, and shows a trace
            if Path(file).is_file() and Path(file).suffix != ".json":
                config.read(file)
    except UserError as error:
        return refuse(str(error), 1)
    folder.mkdir(parents=True, exist_ok=True)
    code = 1 if is_full(folder) else run(arguments, folder.resolve())
    if code and is_full(folder):  # of which Snakemake shows a trace at best
        return refuse(
            f"The disk is full: nothing can be written to {folder.resolve()}; free some space and run again.", code
        )
    return code


def is_full(folder: Path) -> bool:
    """Whether the folder has no space for Snakemake's own files."""
    return shutil.disk_usage(folder).free < NEEDED


def run(arguments: list[str], folder: Path) -> int:
    """Run Snakemake, unless a run or a job of one is at work in the folder."""
    (folder / "results").mkdir(exist_ok=True)
    with (folder / "results" / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return refuse("Another run is under way in this folder; wait for it or stop it.")
        if at_work := others(folder):
            pids = ", ".join(map(str, at_work))
            return refuse(
                f"Snakemake or a job of a killed run is still at work in this folder (process {pids}); "
                "wait for it or stop it."
            )
        snakemake = [sys.executable, "-m", "snakemake"]
        # with the same arguments, which may name another Snakefile or folder; what is wrong with them the run will say
        subprocess.run([*snakemake, *arguments, "--unlock"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return subprocess.run([*snakemake, "--rerun-incomplete", *arguments]).returncode


def refuse(sentence: str, code: int = 75) -> int:
    """Say why not."""
    print(sentence, file=sys.stderr)
    return code


def others(folder: Path) -> list[int]:
    """Processes that run Snakemake or a job of the workflow in the folder (Linux; elsewhere none are seen)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder and is_run((process / "cmdline").read_bytes()):
                found.append(int(process.name))
        except OSError:  # it has ended, or belongs to somebody else
            continue
    return sorted(found)


def is_run(command: bytes) -> bool:
    """Whether a command line (arguments that end with NUL) is Snakemake's or a rankrefine job's."""
    words = command.decode(errors="replace").split("\0")[:4]
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    return module in ("snakemake", "rankrefine") or any(Path(word).name == "snakemake" for word in words[:2])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
