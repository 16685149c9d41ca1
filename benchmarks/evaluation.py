"""Time of the seven STS tasks: with shared embeddings, and with MTEB called task by task.

    python benchmarks/evaluation.py [--share 0.2] [--repeats 3]

STSBenchmark is real. The other data sets are on the hub alone and are simulated, with their number of pairs, from news
sentences and the other splits of STS Benchmark: sentences of STS12 to STS16 occur once, those of SICK-R three times.
`--share` uses that part of every task. Neither time includes imports, some 10 s per job of the workflow.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import material
import pyarrow as pa

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.assets.mteb import load_mteb
from rankrefine.encoders.opening import open_encoder
from rankrefine.evaluate import catalogue, run, task
from rankrefine.evaluate.mteb_data import open_task
from rankrefine.evaluate.prepared import PreparedTask

PAIRS = {
    "STS12": 3108,
    "STS13": 1500,
    "STS14": 3750,
    "STS15": 3000,
    "STS16": 1186,
    "STSBenchmark": 1379,
    "SICK-R": 9927,
}
DISTINCT = 1 / 3  # distinct sentences of SICK-R, as a part of all


def main() -> None:
    """Print seconds, texts and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=0.2, help="part of every task's pairs (default 0.2)")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # MTEB's about its own use of sentence-transformers
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        encoder = material.model("embedded:all-minilm-l6-v2", folder)
        write_manifest(folder / "model.json", source="base", kind="model", path=encoder.path, revision="1")
        prepared = _tasks(folder, options.share)
        times: dict[str, list[float]] = {"ours": [], "MTEB": []}
        for repeat in range(options.repeats + 1):
            results = {"ours": _ours(folder, prepared, repeat), "MTEB": _mteb(folder, prepared, encoder.path)}
            assert all(abs(results["ours"][1][name] - results["MTEB"][1][name]) < 1e-3 for name in prepared)
            if repeat:  # the first repeat is a warm-up
                for name, (seconds, _) in results.items():
                    times[name].append(seconds)
        encoded = sum(json.loads((folder / f"{name}-out.json").read_text())["encoded"] for name in prepared)
    sentences = 2 * sum(prepared.values())
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"{sentences} sentences, {encoded} of them encoded by ours")
    for name, values in times.items():
        print(f"{name}: {median[name]:.1f} s (median of {', '.join(f'{value:.1f}' for value in values)})")
    print(f"ratio {median['MTEB'] / median['ours']:.2f}, bound {sentences / encoded:.2f} (sentences per encoded text)")


def _tasks(folder: Path, share: float) -> dict[str, int]:
    """Prepare the tasks as in the workflow, and return the number of pairs of each."""
    stsb = material.dataset("embedded:stsb", folder).path
    pool = list(dict.fromkeys(text for split in ("train", "validation") for text in _texts(stsb / f"{split}.parquet")))
    pool += [text for text in material.sentences(5000, folder) if text not in set(pool)]
    draw = random.Random(0)
    draw.shuffle(pool)
    units = {}
    for name, pairs in PAIRS.items():
        count = round(share * pairs)
        table = io.read_table(stsb / "test.parquet").select(["sentence1", "sentence2", "score"]).slice(0, count)
        if name != "STSBenchmark":
            distinct = round(2 * count * DISTINCT) if name == "SICK-R" else 2 * count
            sentences = draw.sample(pool, min(distinct, len(pool)))
            drawn = [sentences[index % len(sentences)] for index in range(2 * count)]
            draw.shuffle(drawn)
            scores = [draw.uniform(0, 5) for _ in range(count)]
            table = pa.table({"sentence1": drawn[:count], "sentence2": drawn[count:], "score": scores})
        io.write_table(folder / name / "test.parquet", table)
        write_manifest(folder / f"{name}-data.json", source=name, kind="dataset", path=folder / name, revision="1")
        task.run(
            name,
            folder / f"{name}-data.json",
            folder / f"{name}.json",
            module=catalogue.module(name),
            own=[*catalogue.OWN],
        )
        units[name] = count
    return units


def _texts(path: Path) -> list[str]:
    table = io.read_table(path)
    return table["sentence1"].to_pylist() + table["sentence2"].to_pylist()


def _ours(folder: Path, prepared: dict[str, int], repeat: int) -> tuple[float, dict[str, float]]:
    """Seconds and scores of the tasks one after the other, with a new embedding cache."""
    scores, seconds, cache = {}, 0.0, folder / f"cache{repeat}"
    for name in prepared:
        output = folder / f"{name}-out.json"
        started = time.perf_counter()
        run.run(folder / f"{name}.json", folder / "model.json", "base", None, output, embedding_cache=cache)
        seconds += time.perf_counter() - started
        scores[name] = json.loads(output.read_text())["metrics"][0]["value"]
    return seconds, scores


def _mteb(folder: Path, prepared: dict[str, int], path: Path) -> tuple[float, dict[str, float]]:
    """Seconds and scores of MTEB's own evaluation, called task by task."""
    mteb, scores, seconds = load_mteb(), {}, 0.0
    for name in prepared:
        opened = open_task(PreparedTask.read(folder / f"{name}.json"))
        started = time.perf_counter()
        encoder = open_encoder(path)
        with tempfile.TemporaryDirectory() as scratch:
            cache = mteb.ResultCache(scratch)
            results = mteb.evaluate(encoder, tasks=opened, cache=cache, co2_tracker=False, show_progress_bar=False)
        seconds += time.perf_counter() - started
        scores[name] = 100 * results.task_results[0].get_score()
    return seconds, scores


if __name__ == "__main__":
    main()
