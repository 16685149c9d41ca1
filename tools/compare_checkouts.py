"""Compare what two checkouts of this project produce, byte for byte: `python tools/compare_checkouts.py OLD NEW`.

Runs the workflow of both in float32, on the miniature and on a few real sentences with the default models, and
compares pool, shards, lists, teacher embeddings, weights and scores. Exit code 1 if a file differs. With
`--keep FOLDER`, the run of OLD stays in FOLDER, and a later comparison with another NEW repeats only what Snakemake
finds out of date.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PARTS = ("miniature", "real")
COMPARED = (
    "seeds/pool.parquet",
    "generate/*.parquet",
    "consolidate/lists.parquet",
    "base/model/**/*.safetensors",
    "teacher/*/embeddings.safetensors",
    "refine/*/*/model/**/*.safetensors",
    "encoder/**/*.safetensors",
    "scores.csv",
)
# Trainings of the miniature. TARGET is the name of the key in the checkout. With adapters or one layer the development
# score of the random encoder improves, so that the kept weights are trained ones.
EXPERIMENTS = """
refine:
  experiments:
    refined: {}
    net: {loss: list_net, contrastive: 0.1, anchor: 0.1, TARGET: paper, lora: 4}
    released: {loss: list_mle_released, matryoshka: [16], TARGET: released, layers: 1, learning_rate: 0.0001}
    borda: {TARGET: borda, schedule: cosine, layers: 1, learning_rate: 0.0001}
    lora: {TARGET: generated, lora: 4}
    two-teachers: {TARGET: teacher, teacher: {encoder: 2, base: 1}, accumulation: 2, lora: 4}
"""
# each checkout uses its own src/; threads that wait do not spin, which takes minutes on a busy machine
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_WAIT_POLICY": "passive"}


def prepare(part: str, new: Path, checkout: Path, folder: Path, seeds: int) -> None:
    """Write the inputs of a part to `folder`; both checkouts get the same ones."""
    folder.mkdir(parents=True, exist_ok=True)
    overlay = f"seeds: {{count: {seeds}}}\ngenerate: {{dtype: float32}}\n"
    if part == "miniature":
        subprocess.run([sys.executable, new / "tests/miniature/build.py", folder], check=True, env=ENVIRONMENT)
        reference = (checkout / "config.yaml").read_text(encoding="utf-8")
        if "\n  objective: " not in reference:
            text = (folder / "config.yaml").read_text(encoding="utf-8")
            (folder / "config.yaml").write_text(text.replace("  objective:", "  recipe:"), encoding="utf-8")
        overlay = EXPERIMENTS.replace("TARGET", "target" if "\n  target:" in reference else "rule")
    else:
        (folder / "config.yaml").write_text("{}\n", encoding="utf-8")
    (folder / "overlay.yaml").write_text(overlay, encoding="utf-8")


def run(checkout: Path, folder: Path) -> None:
    """Run the workflow of `checkout` in `folder`; a finished run is not repeated."""
    command = [sys.executable, "-m", "snakemake", "results/scores.csv", "results/encoder", "--cores", "2", "--nolock"]
    command += ["--snakefile", checkout / "Snakefile", "--directory", folder, "--rerun-incomplete"]
    command += ["--configfile", "overlay.yaml", "--quiet", "rules", "host", "reason"]
    if subprocess.run(command, cwd=folder, env=ENVIRONMENT, stdout=sys.stderr).returncode:
        sys.exit(f"The workflow of {checkout} failed; its logs are in {folder}/results/logs.")


def compare(old: Path, new: Path) -> int:
    """Print a line for each compared file of the two `results` folders; return the number of differences."""
    names = [
        name
        for pattern in COMPARED
        for name in sorted({file.relative_to(folder) for folder in (old, new) for file in folder.glob(pattern)})
    ]
    different = 0
    for name in names:
        missing = [label for label, folder in (("OLD", old), ("NEW", new)) if not (folder / name).is_file()]
        equal = not missing and (old / name).read_bytes() == (new / name).read_bytes()
        verdict = f"MISSING IN {missing[0]}" if missing else "equal" if equal else "DIFFERENT"
        size = (new if missing == ["OLD"] else old) / name
        print(f"{f'results/{name}':<66} {size.stat().st_size:>11,}  {verdict}", flush=True)
        different += not equal
    weights = [(new / name).read_bytes() for name in names if name.parts[0] == "refine" and (new / name).is_file()]
    print(f"{len(weights)} refined encoders, {len(set(weights))} different ones")
    return different


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("old", type=Path, help="folder of the checkout to compare with")
    parser.add_argument("new", type=Path, help="folder of the checkout to test, whose miniature both run")
    parser.add_argument("--seeds", type=int, default=16, help="seed sentences of the real part")
    parser.add_argument("--only", choices=PARTS, help="run one of the two parts")
    parser.add_argument("--keep", type=Path, help="folder for the run of OLD, used again by later comparisons")
    arguments = parser.parse_args()
    old, new = arguments.old.resolve(), arguments.new.resolve()
    different = 0
    with contextlib.ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="compare-checkouts-")))
        kept = (arguments.keep or temporary / "old").resolve()
        for part in [arguments.only] if arguments.only else PARTS:
            folders = [kept / part, temporary / "new" / part]
            for label, checkout, folder in zip(("old", "new"), (old, new), folders, strict=True):
                started = time.monotonic()
                prepare(part, new, checkout, folder, arguments.seeds)
                run(checkout, folder)
                print(f"{part}, {label}: {time.monotonic() - started:.0f} s", file=sys.stderr)
            print(f"\n{part}")
            different += compare(*(folder / "results" for folder in folders))
    print(f"\n{different} differences" if different else "\nall equal")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
