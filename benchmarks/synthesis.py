"""What written examples are worth: python benchmarks/synthesis.py --results results [--layers 3] [--seeds 1 2 3]

The results folder is one of a run with `examples.recipe`. A line shows the median cosines of anchors to positives and
negatives, by an encoder, of all examples and of the curated ones. Then the first layers of that encoder are trained on
each of them by `contrastive`, and on the same seed sentences by `simcse_unsup`; a row shows the development scores.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import material
import numpy as np
import pyarrow as pa

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.base import run as base
from rankrefine.config import load as configuration
from rankrefine.config.views import for_rule
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import open_encoder
from rankrefine.encoders.saving import save


def main() -> None:
    """Print the similarities and a row for each objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--encoder", default="embedded:all-minilm-l6-v2")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    options = parser.parse_args()
    data = {name: io.read_table(options.results / "examples" / f"{name}.parquet") for name in ("examples", "curated")}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        encoder = material.model(options.encoder, folder).path
        for name, examples in data.items():
            print(f"{name}: {similarities(encoder, examples)}")
            io.write_table(folder / f"{name}.parquet", examples)
        material.dataset("embedded:stsb", folder)
        _cut(encoder, options.layers, folder)
        sentences = io.read_table(options.results / "seeds" / "pool.parquet").slice(0, _read(options.results))
        io.write_table(folder / "sentences.parquet", sentences.select(["text"]))
        for name in ("sentences", *data):
            scores = [_score(name, seed, folder, options) for seed in options.seeds]
            before, after = scores[0][0], np.array([score for _, score in scores])
            shown = ", ".join(f"{score:.2f}" for score in after)
            spread = f"{after.mean() - before:+.2f} ± {after.std(ddof=1):.2f}" if len(after) > 1 else ""
            print(f"{name:14} {before:.2f} -> {shown}   {spread}")


def similarities(encoder: Path, examples: pa.Table) -> str:
    """Return the medians of the cosines of anchors to positives and negatives."""
    model = open_encoder(encoder)
    anchors, positives, negatives = (
        embed(model, examples[role].to_pylist(), 128).numpy() for role in ("anchor", "positive", "negative")
    )
    to_positive, to_negative = ((anchors * other).sum(1) for other in (positives, negatives))
    medians = np.median(to_positive), np.median(to_negative), np.median(to_positive - to_negative)
    share = np.mean(to_positive > to_negative)
    shown = "{:.3f} and {:.3f}, median difference {:.3f}".format(*medians)
    return f"{len(examples)} examples: median cosines {shown}; the positive is nearer in {share:.0%}"


def _read(results: Path) -> int:
    return io.read_json(results / "examples" / "examples.json")["read"]


def _cut(encoder: Path, layers: int, folder: Path) -> None:
    """Write the encoder with its first layers alone, and its manifest."""
    model = open_encoder(encoder)
    transformer = model[0].auto_model
    transformer.encoder.layer = transformer.encoder.layer[:layers]
    transformer.config.num_hidden_layers = layers
    save(model, folder / "cut")
    write_manifest(folder / "cut.json", source="cut", kind="model", path=folder / "cut")


def _score(name: str, seed: int, folder: Path, options: argparse.Namespace) -> tuple[float, float]:
    """Train once on a table; return the development scores before, and at the best step."""
    objective = "simcse_unsup" if name == "sentences" else "contrastive"
    section = {"objective": objective, "epochs": options.epochs, "learning_rate": options.learning_rate}
    section |= {"evaluate_every": 0.25, "batch_size": 32, "data": "x"}
    config = for_rule(configuration.complete({"seed": seed, "base": section}), "base")
    write_manifest(folder / "data.json", source="x", kind="dataset", path=folder / f"{name}.parquet")
    outputs = [folder / "out" / name for name in ("model", "model.json", "history.json")]
    base.run(config, folder / "cut.json", folder / "data.json", folder / "stsb.json", None, None, *outputs)
    history = io.read_json(outputs[-1])
    return history["base_development"], history["best_development"]


if __name__ == "__main__":
    main()
