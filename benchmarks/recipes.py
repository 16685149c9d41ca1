"""Cost of the recipes of training examples: python benchmarks/recipes.py [RECIPE ...] [--seeds 160]

Each recipe writes its answers for the same sentences. A row shows its speed, and the tokens that the prompts and
answers have (read) beside those that went through the model (computed): a shared prefix, or a prompt that is still
stored, is computed once. A recipe with guidance runs again without it; a line then shows what guidance changes in the
cosines of positives and negatives to their anchors, by all-MiniLM-L6-v2, with a 95 % t-interval.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import material
import torch
from scipy.stats import t as student

from rankrefine.config import load as configuration
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import open_encoder
from rankrefine.generate import blocks
from rankrefine.generate.recipes import steps
from rankrefine.generate.recipes.steps import Answers, Step, Steps
from rankrefine.llm.interface import Request
from rankrefine.llm.transformers import engine as engines

JUDGE = "embedded:all-minilm-l6-v2"
RECIPES = ("syncse_partial", "multicsr", "claif", "gcse")


@dataclass
class Tokens:
    """Tokens of prompts and answers."""

    read: int = 0
    computed: int = 0


def main() -> None:
    """Print a row for each recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--model", default=material.SMALL)
    parser.add_argument("--seeds", type=int, default=160, help="seed sentences")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = material.model(options.model, Path(scratch)).path
        texts = material.sentences(options.seeds, Path(scratch))
        machine = f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
        print(f"{len(texts)} seed sentences, {machine}")
        for name in options.recipes:
            config = configuration.complete({"examples": {"recipe": name}, "base": {"objective": "contrastive"}})
            recipe = steps.load(config)
            drafts = measure(name, recipe, model, texts, config["generate"])
            if any(isinstance(step, Step) and step.against for step in recipe.steps.values()):
                plain = measure(f"{name}, plain", without_guidance(recipe), model, texts, config["generate"])
                compare(recipe.examples[0], drafts, plain, material.model(JUDGE, Path(scratch)).path)


def without_guidance(recipe: Steps) -> Steps:
    """Return the recipe with plain decoding."""
    plain = {
        name: replace(step, against=None) if isinstance(step, Step) else step for name, step in recipe.steps.items()
    }
    return replace(recipe, steps=plain)


def compare(roles: Mapping[str, str], guided: list[Answers], plain: list[Answers], judge: Path) -> None:
    """Print the mean change of the cosines to the seed sentence by guidance, over drafts with both answers."""
    encoder = open_encoder(judge)
    for role in ("positive", "negative"):
        pairs = list(zip(guided, plain, strict=True))
        pairs = [pair for pair in pairs if all(roles[role] in draft.sentences for draft in pair)]
        seeds = embed(encoder, [one.text for one, _ in pairs], 128)
        cosines = [
            (seeds * embed(encoder, [draft.sentences[roles[role]] for draft in drafts], 128)).sum(1).numpy()
            for drafts in zip(*pairs, strict=True)
        ]
        change = cosines[0] - cosines[1]
        half = student.ppf(0.975, len(change) - 1) * change.std(ddof=1) / len(change) ** 0.5
        means = f"{cosines[1].mean():.3f} -> {cosines[0].mean():.3f}"
        print(f"  guidance, {role}: mean cosine {means}, change {change.mean():+.3f} ± {half:.3f}, n {len(change)}")


def measure(name: str, recipe: Steps, model: Path, texts: list[str], settings: dict[str, Any]) -> list[Answers]:
    """Print the row of a recipe; return its drafts."""
    engine = engines.load(model, recipe.prompts, recipe.sampling, len(texts), settings, None)
    heads = [len(prefix) for prefix in engine._encoder.prefixes]
    tokens, add, forward = Tokens(sum(heads), sum(heads)), engine.add, engines.forward

    def counted_add(request: Request) -> None:
        add(request)
        for row in engine._running[-1].rows:  # the rest of the prompt is not fed
            tokens.read += heads[row.prompt.prefix] + len(row.prompt.tail) - len(row.feed)

    def counted_forward(model: Any, rows: list[Any], *others: Any) -> torch.Tensor:
        fed = sum(len(row.feed) for row in rows)
        tokens.read += fed
        tokens.computed += fed
        return forward(model, rows, *others)

    engine.add = counted_add
    with mock.patch.object(engines, "forward", counted_forward):
        drafts, seconds = blocks.run(material.seeds(texts), engine, recipe, lambda *_: None)
    written, share = sum(draft.tokens for draft in drafts), tokens.computed / tokens.read
    speed = f"{written:6} tokens written in {seconds:5.1f} s, {written / seconds:4.0f} a second"
    print(f"{name:20} {speed}; {tokens.read:7} read, {tokens.computed:6} computed ({share:.0%})", flush=True)
    return drafts


if __name__ == "__main__":
    main()
