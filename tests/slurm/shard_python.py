"""Stands for the Python that generates a shard, and has what goes wrong on a cluster happen to its first attempt.

It notes every start in `starts/SHARD.ATTEMPT.json`, so that the test can see where and with which limits it ran.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

SHARD_SIZE = 4
FOR_EVER = 600  # seconds; the test ends such a job long before


def note(shard: int) -> int:
    """Write down this start; return which one of the shard it is, from 1."""
    folder = Path("starts")
    folder.mkdir(exist_ok=True)
    attempt = 1 + len(list(folder.glob(f"{shard}.*.json")))
    job = os.environ["SLURM_JOB_ID"]
    limits = ["scontrol", "show", "job", job, "--oneliner"]
    facts = {
        "job": job,
        "node": os.environ["SLURMD_NODENAME"],
        "gpus": os.environ.get("SLURM_GPUS_ON_NODE"),
        "slurm": dict(
            word.split("=", 1)
            for word in subprocess.run(limits, capture_output=True, text=True).stdout.split()
            if "=" in word
        ),
    }
    aside = folder / f".{shard}.{attempt}"
    aside.write_text(json.dumps(facts), encoding="utf-8")
    aside.rename(folder / f"{shard}.{attempt}.json")
    return attempt


def main() -> None:
    arguments = sys.argv[1:]
    shard = int(arguments[arguments.index("--first") + 1]) // SHARD_SIZE
    attempt = note(shard)
    ended = shard in (1, 2) and attempt == 1  # when its time is over, or because it is cancelled
    at_work = shard == 4 and not Path("last").exists()  # when Snakemake is killed
    if shard == 0:  # needs more memory than its first attempt has, and the same at every attempt
        held = b"x" * (900 << 20)
        time.sleep(3)
        del held
    elif ended or at_work:
        time.sleep(FOR_EVER)
    elif shard == 3 and attempt == 1:  # its node dies; this process, which nobody watches any more, goes on later
        while not Path("survivor").exists():
            time.sleep(0.1)
        status = subprocess.run(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ).returncode
        Path("survived").write_text(str(status), encoding="utf-8")
        sys.exit(status)
    os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    main()
