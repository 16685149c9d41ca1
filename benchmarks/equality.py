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
from dataclasses import dataclass, field
from pathlib import Path

import material
import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM, PreTrainedModel

from rankrefine.config import load as configuration
from rankrefine.generate import blocks
from rankrefine.generate.recipes import ranking
from rankrefine.llm.guidance import NEAR
from rankrefine.llm.interface import Completion, Request, Sampling
from rankrefine.llm.tokens import encode
from rankrefine.llm.transformers import engine as engines

ROUNDS = 5
SETTINGS = configuration.defaults()["generate"] | {"rounds": ROUNDS}
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
    engine = engines.load(
        folder, RECIPE.prompts, Sampling(max_new_tokens=most), 64, SETTINGS | {"dtype": "float32"}, None
    )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().to(engine.model.device)
    found = compared(engine, model, pairs)
    print(found, *found.wrong, sep="\n")
    return int(bool(found.wrong) or found.share <= LEAST_CHANGED)


@dataclass
class Comparison:
    """Our completions beside the library's."""

    pairs: int = 0
    ties: int = 0  # completions that part where the two best guided logits are closer than `NEAR`
    wrong: list[str] = field(default_factory=list)  # a line for each of the others that part
    steps: int = 0  # the library's tokens
    changed: int = 0  # those that plain decoding would not have chosen

    @property
    def share(self) -> float:
        """Share of the tokens that guidance changed."""
        return self.changed / self.steps

    def __str__(self) -> str:
        equal = self.pairs - self.ties - len(self.wrong)
        return (
            f"{self.pairs} pairs: {equal} equal, {self.ties} part at near-ties, {len(self.wrong)} differ\n"
            f"guidance changed {self.changed} of {self.steps} choices ({self.share:.1%})"
        )


def compared(
    engine: engines.TransformersEngine, model: PreTrainedModel, pairs: list[tuple[str, str]], scale: float = SCALE
) -> Comparison:
    """Complete all pairs of sentences with the engine, whose sampling is greedy, and with the library's `model`."""
    fill, most = RECIPE.prompt.fill, engine.sampling.max_new_tokens
    ours = complete(engine, [Request(i, *map(fill, pair), scale, (i,)) for i, pair in enumerate(pairs)])
    ends = engine._stops | engine._newlines
    result = Comparison(len(pairs))
    for i, pair in enumerate(tqdm(pairs, "library", disable=None)):
        prompts = [encode(engine.tokenizer, fill(text)) for text in pair]
        guided, plain, scores = _library(model, *prompts, scale, most, sorted(ends))
        result.changed += sum(a != b for a, b in zip(guided, plain, strict=True))
        result.steps += len(guided)
        expected = guided[:-1] if guided[-1] in ends else guided
        if list(ours[i].tokens) == expected:
            continue
        place = next((k for k, (a, b) in enumerate(zip(ours[i].tokens, expected, strict=False)) if a != b), None)
        place = min(len(ours[i].tokens), len(expected)) if place is None else place  # one of them ended before
        best = scores[place].topk(2).values
        gap = float(best[0] - best[1])
        if gap < NEAR:
            result.ties += 1
        else:
            result.wrong.append(f"pair {i}, token {place}: the two best logits are {gap:.5f} apart")
    return result


def _sampled_pairs(folder: Path, texts: list[str]) -> list[tuple[str, str]]:
    engine = engines.load(folder, RECIPE.prompts, RECIPE.sampling, len(texts), SETTINGS, None)
    chains, _ = blocks.run(material.seeds(texts), engine, RECIPE, lambda *_: None)
    return [(s[k], s[k - 1]) for k in range(1, ROUNDS) for s in (chain.sentences for chain in chains) if len(s) > k]


def complete(engine: engines.TransformersEngine, requests: list[Request]) -> dict[int, Completion]:
    """Return all completions by the ids of their requests; a waiting request takes each place that becomes free."""
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
    model: PreTrainedModel, prompt: list[int], negative: list[int], scale: float, most: int, ends: list[int]
) -> tuple[list[int], list[int], torch.Tensor]:
    """Return the library's guided tokens, the choices of plain decoding in their place, and the guided scores."""
    ids = torch.tensor([prompt], device=model.device)
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        guidance_scale=scale,
        negative_prompt_ids=torch.tensor([negative], device=model.device),
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
