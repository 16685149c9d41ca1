"""Similarity of sentence pairs by the likelihood of the labels 0 to 5: python benchmarks/scoring.py [--model ...]

Spearman correlation with the human scores of STS-B's validation pairs, in percent, with a bootstrap interval: of the
language model's expected label, of the same divided by the prior of an empty pair, and of an encoder's cosine. It
shows whether a language model is good enough as a scorer.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import material
import numpy as np
import torch
from scipy.stats import spearmanr

from rankrefine.config import load as configuration
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import open_encoder
from rankrefine.evaluate.statistics import bootstrap, interval
from rankrefine.llm.interface import Sampling
from rankrefine.llm.prompts import Prompt
from rankrefine.llm.scoring import expected
from rankrefine.llm.transformers import engine as engines
from rankrefine.training import development

LABELS = list("012345")
EXAMPLES = (
    ("The child is asleep.", "The kid sleeps.", 5),
    ("A man fries fish.", "The stock market closed higher.", 0),
    ("Two dogs run on the beach.", "Two dogs play in the water.", 3),
    ("She bought a red car.", "She bought a car.", 4),
    ("A boy rides a horse.", "A boy eats an apple.", 1),
    ("The band plays outdoors.", "A band is tuning up in a hall.", 2),
)
PAIR = "First: {}\nSecond: {}\nRating ("  # after a bracket most tokenizers read a digit as one token
TASK = "Each pair of sentences is rated from 0 (nothing in common) to 5 (same meaning).\n\n"
START = TASK + "".join(f"{PAIR.format(*pair)}{label})\n\n" for *pair, label in EXAMPLES)


def main() -> None:
    """Print a row for each scorer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=material.SMALL)
    parser.add_argument("--encoder", default="embedded:all-minilm-l6-v2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        first, second, gold = development.read(material.dataset("embedded:stsb", folder).path)
        model, encoder = (material.model(source, folder).path for source in (options.model, options.encoder))
        settings = configuration.complete({})["generate"]
        shared = Prompt("pair", "", START + PAIR.replace("{}", "{sentence}", 1))
        engine = engines.load(model, [shared], Sampling(), 160, settings, None)
        started = time.perf_counter()
        logprobs = engine.score([START + PAIR.format(*pair) for pair in zip(first, second, strict=True)], LABELS)
        seconds = time.perf_counter() - started
        prior = engine.score([START + PAIR.format("", "")], LABELS)
        vectors = [embed(open_encoder(encoder), part, 128).numpy() for part in (first, second)]
    print(f"{len(gold)} pairs in {seconds:.0f} s with {engine.describe()}, {torch.backends.cpu.get_cpu_capability()}")
    print(f"probability of all labels: {np.exp(logprobs).sum(1).mean():.3f}")
    rows = {
        "expected label": expected(logprobs, range(6)),
        "divided by the prior": expected(logprobs, range(6), prior),
        "cosine of the encoder": (vectors[0] * vectors[1]).sum(1),
    }
    drawn = 100 * bootstrap(np.array(gold), np.array(list(rows.values())), 1000, 1)
    for (name, scores), samples in zip(rows.items(), drawn, strict=True):
        low, high = interval(samples, 0.95)
        print(f"{name:22s} {100 * spearmanr(scores, gold).statistic:6.2f}  [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
