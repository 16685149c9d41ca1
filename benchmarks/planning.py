"""Time and memory of planning: parsing the Snakefile, a dry run of everything, and a run with nothing to do.

    python benchmarks/planning.py [--shards 10 100 1000 5000]

The shards are files of a made-up run that has finished consolidation. `snakemake --touch` creates Snakemake's records
for them, so the run with nothing to do compares params, code and inputs of every job. Goals: 1 000 shards planned in
5 s, a run with nothing to do in 10 s, the Snakefile alone, which every cluster job parses, in less than 1 s.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = """\
seeds: {{sources: [{{name: made-up, source: sentences.txt}}], decontaminate: [], count: {count}}}
generate: {{engine: fake, shard_size: 1}}
base: {{model: encoder}}
refine: {{teacher: base, development: null}}
evaluate: {{tasks: {{STSBenchmark: sts}}}}
"""


def main() -> None:
    """Print a table of seconds and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, nargs="+", default=[10, 100, 1000, 5000])
    shards = parser.parse_args().shards
    with tempfile.TemporaryDirectory() as scratch:
        empty = Path(scratch, "empty")
        _inputs(empty, 10)
        (empty / "Snakefile").write_text("rule all:\n", encoding="utf-8")
        snakemake, whole = _run(empty, "--list-rules", file=empty / "Snakefile"), _run(empty, "--list-rules")
        print(f"parsing: {whole[0]:.2f} s, of which {snakemake[0]:.2f} s are Snakemake's own start")
        print(f"{'shards':>7} {'dry run':>16} {'nothing to do':>16}")
        for count in shards:
            folder = Path(scratch, str(count))
            _inputs(folder, count)
            dry = _run(folder, "--dry-run", "--quiet")
            _results(folder, count)
            _run(folder, "--touch", "--cores", "1", "--quiet", "all", "--", "consolidate")
            nothing = _run(folder, "--cores", "1", "consolidate", expect="Nothing to be done")
            print(f"{count:7} {dry[0]:7.2f} s {dry[1]:3.0f} MB {nothing[0]:7.2f} s {nothing[1]:3.0f} MB", flush=True)


def _inputs(folder: Path, count: int) -> None:
    for place in ("encoder", "sts"):
        (folder / place).mkdir(parents=True)
        (folder / place / "file.txt").touch()
    (folder / "sentences.txt").touch()
    (folder / "config.yaml").write_text(CONFIG.format(count=count), encoding="utf-8")


def _results(folder: Path, count: int) -> None:
    """Write those outputs of the first three stages that planning reads."""
    shards, benchmarks = folder / "results" / "generate", folder / "results" / "benchmarks" / "generate"
    shards.mkdir(parents=True)
    benchmarks.mkdir(parents=True)
    for number in range(count):
        (shards / f"{number:05d}.parquet").write_bytes(bytes(10_000))
        (benchmarks / f"{number:05d}.tsv").touch()
        record = {"first": number, "rows": 1, "versions": {"torch": "0"}}
        (shards / f"{number:05d}.json").write_text(json.dumps(record), encoding="utf-8")
    for name in ("benchmarks/seeds.tsv", "benchmarks/consolidate.tsv"):
        (folder / "results" / name).touch()
    for name in ("seeds/pool.parquet", "seeds/pool.json", "consolidate/lists.parquet", "consolidate/lists.json"):
        (folder / "results" / name).parent.mkdir(exist_ok=True)
        (folder / "results" / name).write_bytes(b"{}")
    (folder / "results" / "consolidate" / "README.md").touch()


def _run(folder: Path, *arguments: str, file: Path = ROOT / "Snakefile", expect: str = "") -> tuple[float, float]:
    """Run a Snakemake command, which must succeed; return seconds and peak memory in MB."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(file), *arguments]
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode or expect not in text:
        raise SystemExit(f"{' '.join(command)}\n{text[-1500:]}")
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
