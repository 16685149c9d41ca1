"""Compare our tokens with those of the library's guided `generate`: python benchmarks/equality.py [--pairs 256]

Greedy, float32. The prompts come from sampled chains (a rewrite, and the one before it): under plain greedy decoding a
small model copies its input, both prompts become equal, and guidance cancels. Where tokens differ, the two best guided
logits must be closer than 1e-4. Guidance must change more than 2 % of the choices, or the comparison would be
meaningless. Exit code 1 if either fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import material
import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM

from rankrefine.config import load as configuration
from rankrefine.generate import blocks
from rankrefine.generate.recipes import ranking
from rankrefine.llm.guidance import NEAR
from rankrefine.llm.interface import Completion, Request, Sampling
from rankrefine.llm.tokens import encode
from rankrefine.llm.transformers import engine as engines

ROUNDS = 5
SETTINGS = configuration.complete({})["generate"] | {"rounds": ROUNDS}
SCALE = SETTINGS["guidance_scale"]
RECIPE = ranking.load({"seed": 1, "generate": SETTINGS})
LEAST_CHANGED = 0.02


def main() -> int:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=material.SMALL)
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=48, help="most tokens of each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = material.model(options.model, Path(scratch)).path
        texts = material.sentences(options.pairs // 2 + 4, Path(scratch))
        return compare(folder, _sampled_pairs(folder, texts)[: options.pairs], options.tokens)


def compare(folder: Path, pairs: list[tuple[str, str]], most: int) -> int:
    """Print the number of equal completions; return 0 if all differences are near-ties and guidance mattered."""
    prompt = RECIPE.prompt
    engine = engines.load(folder, [prompt], Sampling(max_new_tokens=most), 64, SETTINGS | {"dtype": "float32"}, None)
    ours = _complete(engine, [Request(i, *map(prompt.fill, pair), SCALE, (i,)) for i, pair in enumerate(pairs)])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ends = engine._stops | engine._newlines
    ties, wrong, changed, steps = 0, [], 0, 0
    for i, pair in enumerate(tqdm(pairs, "library", disable=None)):
        prompts = [encode(engine.tokenizer, prompt.fill(text)) for text in pair]
        guided, plain, scores = _library(model, *prompts, most, sorted(ends))
        changed += sum(a != b for a, b in zip(guided, plain, strict=True))
        steps += len(guided)
        expected = guided[:-1] if guided[-1] in ends else guided
        if list(ours[i].tokens) == expected:
            continue
        place = next((k for k, (a, b) in enumerate(zip(ours[i].tokens, expected, strict=False)) if a != b), None)
        place = min(len(ours[i].tokens), len(expected)) if place is None else place  # one of them ended before
        best = scores[place].topk(2).values
        gap = float(best[0] - best[1])
        ties += gap < NEAR
        if gap >= NEAR:
            wrong.append(f"pair {i}, token {place}: the two best logits are {gap:.5f} apart")
    share = changed / steps
    print(f"{len(pairs)} pairs: {len(pairs) - ties - len(wrong)} equal, {ties} part at near-ties, {len(wrong)} differ")
    print(f"guidance changed {changed} of {steps} choices ({share:.1%})")
    print(*wrong, sep="\n", end="" if not wrong else "\n")
    return int(bool(wrong) or share <= LEAST_CHANGED)


def _sampled_pairs(folder: Path, texts: list[str]) -> list[tuple[str, str]]:
    engine = engines.load(folder, RECIPE.prompts, RECIPE.sampling, len(texts), SETTINGS, None)
    chains, _ = blocks.run(material.seeds(texts), engine, RECIPE, lambda *_: None)
    return [(s[k], s[k - 1]) for k in range(1, ROUNDS) for s in (chain.sentences for chain in chains) if len(s) > k]


def _complete(engine: engines.TransformersEngine, requests: list[Request]) -> dict[int, Completion]:
    waiting, completed, running = list(requests), {}, 0
    while waiting or running:
        while waiting and running < engine.max_running:
            engine.add(waiting.pop())
            running += 1
        ended = engine.step()
        running -= len(ended)
        completed |= {completion.id: completion for completion in ended}
    return completed


@torch.inference_mode()
def _library(
    model: Any, prompt: list[int], negative: list[int], most: int, ends: list[int]
) -> tuple[list[int], list[int], torch.Tensor]:
    """Return the library's guided tokens, the choices of plain decoding in their place, and the guided scores."""
    ids = torch.tensor([prompt])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        guidance_scale=SCALE,
        negative_prompt_ids=torch.tensor([negative]),
        do_sample=False,
        max_new_tokens=most,
        eos_token_id=ends,
        pad_token_id=ends[0],
        output_logits=True,
        output_scores=True,
        return_dict_in_generate=True,
    )
    plain = torch.cat(out.logits).argmax(-1).tolist()
    return out.sequences[0, len(prompt) :].tolist(), plain, torch.cat(out.scores)


if __name__ == "__main__":
    sys.exit(main())
