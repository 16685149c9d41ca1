"""Similarity of sentence pairs by the likelihood of labels: python benchmarks/scoring.py [--model ...]

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
from rankrefine.llm import scoring_prompts
from rankrefine.llm.interface import Sampling
from rankrefine.llm.scoring import expected
from rankrefine.llm.transformers import engine as engines
from rankrefine.training import development


def main() -> None:
    """Print a row for each scorer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=material.SMALL)
    parser.add_argument("--scoring", default="plain_exemplars", help="a prompt, as in examples.scoring_prompt")
    parser.add_argument("--encoder", default="embedded:all-minilm-l6-v2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        first, second, gold = development.read(material.dataset("embedded:stsb", folder).path)
        model, encoder = (material.model(source, folder).path for source in (options.model, options.encoder))
        settings = configuration.complete({})["generate"]
        prompt = scoring_prompts.load(options.scoring)
        engine = engines.load(model, [prompt], Sampling(), 160, settings, None)
        started = time.perf_counter()
        logprobs = engine.score([prompt.fill(*pair) for pair in zip(first, second, strict=True)], prompt.labels)
        seconds = time.perf_counter() - started
        prior = engine.score([prompt.fill("", "")], prompt.labels)
        vectors = [embed(open_encoder(encoder), part, 128).numpy() for part in (first, second)]
    print(f"{len(gold)} pairs in {seconds:.0f} s with {engine.describe()}, {torch.backends.cpu.get_cpu_capability()}")
    print(f"probability of all labels: {np.exp(logprobs).sum(1).mean():.3f}")
    rows = {
        "expected label": expected(logprobs, prompt.values),
        "divided by the prior": expected(logprobs, prompt.values, prior),
        "cosine of the encoder": (vectors[0] * vectors[1]).sum(1),
    }
    drawn = 100 * bootstrap(np.array(gold), np.array(list(rows.values())), 1000, 1)
    for (name, scores), samples in zip(rows.items(), drawn, strict=True):
        low, high = interval(samples, 0.95)
        print(f"{name:22s} {100 * spearmanr(scores, gold).statistic:6.2f}  [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
