"""Time of each stage of the default run, and its bound: python benchmarks/default_run.py [--checkout OLD] [--avx2]

Runs the workflow with the default configuration in a scratch folder, and prints wall time and processor time of each
stage. The bound of a stage is the time of its products with weights alone, at the speed of the same products on this
machine: of the language model, with 357 rows; of the encoder, with 32 sentences of 16 tokens.
Attention, norms and the choice of tokens are not in it, nor are imports and files. With --checkout, another checkout
runs in turn; --avx2 holds the libraries to AVX2 and the language model to float32, as on older processors.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModel, AutoTokenizer

from rankrefine.data_files import scored_pairs, splits
from rankrefine.llm import prompts
from rankrefine.llm.tokens import common_prefix, encode, open_tokenizer
from rankrefine.ranking_lists.lists import read as read_lists

HERE = Path(__file__).resolve().parents[1]
HELD = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
STAGES = ("seeds", "generate", "consolidate", "teacher", "refine", "evaluate")


class Job(NamedTuple):
    """Wall time and processor time of a stage's jobs, in seconds."""

    wall: float
    cpu: float


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, action="append", default=[], help="another checkout, to run in turn")
    parser.add_argument("--avx2", action="store_true", help="hold the libraries to AVX2, in float32")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the results (default: a temporary one)")
    options = parser.parse_args()
    if options.avx2 and HELD.items() - os.environ.items():  # read when torch is imported
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | HELD)
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(options.repeats):
            for number, checkout in enumerate([*options.checkout, HERE]):
                folder = (options.keep or Path(scratch)) / f"{number}-{repeat}"
                report(checkout.resolve(), folder, {"generate": {"dtype": "float32"}} if options.avx2 else {})


def report(checkout: Path, folder: Path, overlay: dict[str, Any]) -> None:
    """Run a checkout in `folder` and print its table."""
    folder.mkdir(parents=True)
    (folder / "overlay.yaml").write_text(json.dumps(overlay), encoding="utf-8")
    command = [sys.executable, checkout / "workflow/run.py", "--cores", "all", "--directory", folder]
    command += ["--configfile", folder / "overlay.yaml", "--quiet", "rules", "host", "reason"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    with (folder / "run.log").open("wb") as log:
        subprocess.run(command, cwd=checkout, check=True, env=environment, stdout=log, stderr=log)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    results = folder / "results"
    record = json.loads((results / "generate/00000.json").read_text(encoding="utf-8"))
    bounds = dict(bound(results, getattr(torch, record["dtype"])))
    print(f"{checkout.name}: {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads, ", end="")
    print(f"{record['dtype']}, {record['tokens']} tokens at {record['tokens_per_second']:.0f} a second")
    print(f"{'stage':12} {'wall':>7} {'CPU':>7} {'bound':>7} {'reached':>8}")
    jobs = {stage: job(results / "benchmarks", stage) for stage in STAGES}
    for stage, (seconds, busy) in jobs.items():
        limit = f"{bounds[stage]:7.1f} {bounds[stage] / seconds:8.0%}" if stage in bounds else ""
        print(f"{stage:12} {seconds:7.1f} {busy:7.1f} {limit}")
    rest = wall - sum(seconds for seconds, _ in jobs.values())
    print(f"{'the rest':12} {rest:7.1f} {cpu - sum(busy for _, busy in jobs.values()):7.1f}")
    print(f"{'all':12} {wall:7.1f} {cpu:7.1f}", flush=True)


def job(folder: Path, stage: str) -> Job:
    """Add the times of the jobs of a stage, as Snakemake has recorded them."""
    files = [folder / f"{stage}.tsv", *(folder / stage).rglob("*.tsv")]
    rows = [row for file in files if file.is_file() for row in csv.DictReader(file.open(), delimiter="\t")]
    return Job(sum(float(row["s"]) for row in rows), sum(float(row["cpu_time"]) for row in rows))


def bound(results: Path, dtype: torch.dtype) -> Iterator[tuple[str, float]]:
    """Yield stages and the seconds of their products with weights."""
    yield "generate", generation(results, dtype)
    rate, encoder = speed(32 * 16, 384, 1536, torch.float32, packed=False), folder_of(results, "all-minilm-l6-v2")
    model = AutoModel.from_pretrained(encoder)
    weights = sum(value.numel() for name, value in model.named_parameters() if "embeddings" not in name)
    tokenizer = AutoTokenizer.from_pretrained(encoder)

    def tokens(texts: list[str]) -> int:
        return sum(map(len, tokenizer(texts)["input_ids"]))

    lists = tokens(read_lists(results / "consolidate/lists.parquet").flat)
    yield "teacher", 2 * weights * lists / rate
    history = json.loads((results / "refine/refined/2024/history.json").read_text(encoding="utf-8"))
    data = {
        split: scored_pairs.read(splits.files(folder_of(results, "stsb"), split)) for split in ("validation", "test")
    }
    sentences = {split: list({*pairs["sentence1"], *pairs["sentence2"]}) for split, pairs in data.items()}
    scored = len(history["development"]) * tokens(sentences["validation"])
    yield "refine", weights * (6 * lists + 2 * scored) / rate
    yield "evaluate", 2 * 2 * weights * tokens(sentences["test"]) / rate  # by the base and the refined encoder


def generation(results: Path, dtype: torch.dtype) -> float:
    """Seconds of the language model's products with weights: each prompt once, and each token in both streams."""
    folder = folder_of(results, "smollm2-135m-instruct")
    model = AutoModel.from_pretrained(folder)
    weights = sum(value.numel() for name, value in model.named_parameters() if "embed" not in name)
    head = model.get_input_embeddings().weight.numel()
    tokenizer, prompt = open_tokenizer(folder), prompts.load("few_shot")
    record = json.loads((results / "generate/00000.json").read_text(encoding="utf-8"))
    chains = read_lists(results / "generate/00000.parquet").sentences
    start = len(common_prefix([encode(tokenizer, prompt.fill(text)) for text in ("A", "7", '"')]))
    read = sum(len(encode(tokenizer, prompt.fill(text))) - start for chain in chains for text in chain[:-1])
    first = sum(len(tokenizer(chain[1])["input_ids"]) for chain in chains if len(chain) > 1)
    written = record["tokens"]
    flops = 2 * weights * (read + 2 * written - first) + 2 * head * written
    return flops / speed(357, 576, 1536, dtype, packed=dtype == torch.bfloat16)


def folder_of(results: Path, name: str) -> Path:
    """Return the folder of an asset."""
    path = json.loads((results / f"assets/{name}.json").read_text(encoding="utf-8"))["path"]
    return results.parent / path  # relative to the folder of the run


@torch.inference_mode()
def speed(rows: int, inner: int, outer: int, dtype: torch.dtype, *, packed: bool) -> float:
    """Flops per second of a linear layer: the best of many tries."""
    inputs, weight = torch.randn(rows, inner, dtype=dtype), torch.randn(outer, inner, dtype=dtype)
    layout = torch.ops.mkldnn._reorder_linear_weight(weight, None) if packed else weight

    def once() -> float:
        started = time.perf_counter()
        if packed:
            torch.ops.mkldnn._linear_pointwise(inputs, layout, None, "none", [], "")
        else:
            torch.nn.functional.linear(inputs, layout)
        return time.perf_counter() - started

    return 2 * rows * inner * outer / min(once() for _ in range(200))


if __name__ == "__main__":
    main()
