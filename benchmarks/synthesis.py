"""What written examples are worth: python benchmarks/synthesis.py RESULTS ... [--layers 3] [--lists RESULTS]

Each results folder is one of a run with `examples.recipe`. A line shows the median cosines of anchors to positives and
negatives, by all-MiniLM-L6-v2. Then an encoder is trained on the examples, and on the same seed sentences by
`simcse_unsup`: the first layers of all-MiniLM-L6-v2, or with `--model` another transformer. With `--lists`, each
trained encoder is also refined with the ranking lists of that results folder, as its own teacher. A row shows the
development scores (Spearman x 100 on the validation pairs of STS Benchmark), and the gains with 95 % t-intervals over
the seeds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import material
import numpy as np
import pyarrow as pa
from scipy.stats import t as student

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.base import run as base
from rankrefine.config import load as configuration
from rankrefine.config.views import for_rule, training
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import open_encoder
from rankrefine.encoders.saving import save
from rankrefine.refine import run as refine
from rankrefine.refine import teacher

JUDGE = "embedded:all-minilm-l6-v2"
OBJECTIVES = {"claif": "cosine"}  # of a recipe; contrastive for all others


def main() -> None:
    """Print the similarities and a row for each recipe."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        judge = material.model(JUDGE, folder).path
        material.dataset("embedded:stsb", folder)
        tables = {} if options.no_baseline else {"simcse_unsup": sentences(options.results[0])}
        for results in options.results:
            name, table = examples(results)
            print(f"{name}: {similarities(judge, table)}", flush=True)
            tables[name] = table
        start(judge, options, folder)
        for name, table in tables.items():
            io.write_table(folder / "data.parquet", table)
            began = time.monotonic()
            scores = [score(name, seed, folder, options) for seed in options.seeds]
            print(
                f"{name:14} {len(table):5} rows  {row(np.array(scores))}  {time.monotonic() - began:.0f} s", flush=True
            )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--model", help="transformer to train (default: all-MiniLM-L6-v2 with --layers layers)")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--pooling", default="model")
    parser.add_argument("--attention", default="model")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--evaluate-every", type=float, default=0.25)
    parser.add_argument("--lists", type=Path)
    parser.add_argument("--no-baseline", action="store_true", help="leave out simcse_unsup")
    return parser.parse_args()


def examples(results: Path) -> tuple[str, pa.Table]:
    """Return the recipe of a run, and its examples: the chosen ones if there is a scorer."""
    folder = results / "examples"
    file = next(file for name in ("curated", "examples") if (file := folder / f"{name}.parquet").exists())
    return io.read_json(folder / "examples.json")["made_by"][0]["prompt"], io.read_table(file)


def sentences(results: Path) -> pa.Table:
    """Return the seed sentences for which a run wrote examples."""
    shards = sorted((results / "synthesize").glob("*.parquet"))
    return pa.concat_tables(io.read_table(shard).select(["sentence"]) for shard in shards).rename_columns(["text"])


def similarities(encoder: Path, table: pa.Table) -> str:
    """Return the medians of the cosines of anchors to positives and negatives."""
    model = open_encoder(encoder)
    texts = {role: table[role].to_pylist() for role in ("anchor", "positive", "negative")}
    vectors = {role: embed(model, [text or "" for text in column], 128).numpy() for role, column in texts.items()}
    to_positive, to_negative = ((vectors["anchor"] * vectors[role]).sum(1) for role in ("positive", "negative"))
    has = np.array([text is not None for text in texts["negative"]])
    shown = f"{len(table)} examples: median cosine to the positive {np.median(to_positive):.3f}"
    if not has.any():
        return shown
    difference = (to_positive - to_negative)[has]
    return (
        f"{shown}, to the negative {np.median(to_negative[has]):.3f}, median difference {np.median(difference):+.3f}; "
        f"the positive is nearer in {np.mean(difference > 0):.0%}"
    )


def start(judge: Path, options: argparse.Namespace, folder: Path) -> None:
    """Write the manifest of the encoder to train, by default the first layers of `judge`."""
    if options.model:
        path = material.model(options.model, folder / "start").path
    else:
        path, model = folder / "cut", open_encoder(judge)
        transformer = model[0].auto_model
        transformer.encoder.layer = transformer.encoder.layer[: options.layers]
        transformer.config.num_hidden_layers = options.layers
        save(model, path)
    write_manifest(folder / "start.json", source="start", kind="model", path=path)


def score(name: str, seed: int, folder: Path, options: argparse.Namespace) -> list[float]:
    """Train once; return the development scores before, at the best step, and after refinement with `--lists`."""
    objective = "simcse_unsup" if name == "simcse_unsup" else OBJECTIVES.get(name, "contrastive")
    section = {"objective": objective, "epochs": options.epochs, "learning_rate": options.learning_rate}
    section |= {"pooling": options.pooling, "attention": options.attention, "evaluate_every": options.evaluate_every}
    given: dict[str, Any] = {"seed": seed, "base": section | {"batch_size": 32, "data": "x"}}
    given["refine"] = {"teacher": "base", "evaluate_every": options.evaluate_every}
    config = configuration.complete(given)
    write_manifest(folder / "data.json", source="x", kind="dataset", path=folder / "data.parquet")
    out, stsb = folder / "out", folder / "stsb.json"
    outputs = [out / file for file in ("base", "base.json", "history.json")]
    base.run(for_rule(config, "base"), folder / "start.json", folder / "data.json", stsb, None, None, *outputs)
    history = io.read_json(outputs[-1])
    scores = [history["base_development"], history["best_development"]]
    if options.lists is None:
        return scores
    lists, embeddings = options.lists / "consolidate" / "lists.parquet", out / "embeddings.safetensors"
    teacher.run(for_rule(config, "teacher"), lists, outputs[1], None, embeddings, out / "teacher.json")
    refined = [out / file for file in ("refined", "refined.json", "refined-history.json")]
    settings = training(config, "refined", seed)
    refine.run("refined", settings, lists, [embeddings], [1.0], outputs[1], stsb, None, None, None, *refined)
    return [*scores, io.read_json(refined[-1])["best_development"]]


def row(scores: np.ndarray) -> str:
    """Format the scores [seeds, stages]: the start, and after each training the scores and the gain."""
    shown = f"{scores[0, 0]:.2f}"
    for before, after in zip(scores.T, scores.T[1:], strict=False):
        gain = after - before
        values = ", ".join(f"{value:.2f}" for value in after)
        half = student.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else np.nan
        shown += f"  -> {values} ({gain.mean():+.2f} ± {half:.2f})"
    return shown


if __name__ == "__main__":
    main()
