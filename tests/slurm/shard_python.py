"""Replacement for the Python that generates a shard; its first attempt fails as jobs on a cluster do.

Other commands, which write sentences and examples, run as they are.

Every start is recorded in `starts/SHARD.ATTEMPT.json`, with its node and limits.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

SHARD_SIZE = 4
FOREVER = 600  # seconds; the test ends such a job much earlier


def record(shard: int) -> int:
    """Record this start; return the number of the attempt, from 1."""
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
    temporary = folder / f".{shard}.{attempt}"
    temporary.write_text(json.dumps(facts), encoding="utf-8")
    temporary.rename(folder / f"{shard}.{attempt}.json")
    return attempt


def main() -> None:
    arguments = sys.argv[1:]
    if "generate" not in arguments:
        os.execv(sys.executable, [sys.executable, *arguments])
    shard = int(arguments[arguments.index("--first") + 1]) // SHARD_SIZE
    attempt = record(shard)
    ended = shard in (1, 2) and attempt == 1  # at its time limit, or cancelled
    interrupted = shard == 4 and not Path("last").exists()  # running when Snakemake is killed
    if shard == 0:  # uses more memory than its first attempt has, the same in every attempt
        memory = b"x" * (900 << 20)
        time.sleep(3)
        del memory
    elif ended or interrupted:
        time.sleep(FOREVER)
    elif shard == 3 and attempt == 1:  # its node fails; this process, without a supervisor, continues later
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
