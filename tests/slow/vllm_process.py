"""Generation for the tests of the vLLM engine, in vLLM's own environment: python vllm_process.py JOB RESULT (JSON).

JOB: folder (of the model), seeds (sentences), max_running, rounds, pairs, dtype. The engine starts once for all tests.
RESULT: the completions, the scores of labels, and the output of vLLM itself for each row.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankrefine.generate import blocks
from rankrefine.generate.recipes.ranking import Ranking
from rankrefine.llm import prompts
from rankrefine.llm.guidance import Sampling
from rankrefine.llm.interface import Completion, Request
from rankrefine.llm.vllm import engine as engines
from rankrefine.text.rewrite_rules import Limits

SAMPLED = Sampling(temperature=0.8, plausibility=3.0, max_new_tokens=48)
GREEDY = Sampling(max_new_tokens=24)
SCALE = 1.5
PROMPT = "few_shot"
LABELS = ("0", "1", "A")


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Generate everything, one after another, on one engine."""
    settings = {"dtype": job["dtype"], "device": "auto", "tensor_parallel": 1, "token_budget": 65536}
    prompt = prompts.load(PROMPT)
    engine = engines.load(Path(job["folder"]), [prompt], SAMPLED, job["max_running"], settings, None)
    scores = engine.score([prompt.fill(seed) for seed in job["seeds"]], LABELS)
    rows = _recorded(engine)
    lists, statistics = _chains(engine, prompt, job)
    pairs = [(s[i], s[i - 1]) for i in range(1, job["rounds"] + 1) for s in lists if len(s) > i]
    requests = [
        Request(i, prompt.fill(text), prompt.fill(negative), SCALE, (i,))
        for i, (text, negative) in enumerate(pairs[: job["pairs"]])
    ]
    few = requests[:6]
    result = {"engine": engine.describe(), "lists": lists, "chains": statistics, "pairs": pairs[: job["pairs"]]}
    result["undisturbed"] = _tokens(_complete(engine, few))
    disturbed = _disturbed(engine, few)
    result["disturbed"], result["redone"] = _tokens(disturbed), {c.id: c.redone for c in disturbed if c.redone}
    engine.sampling = GREEDY
    result["greedy"] = _tokens(_complete(engine, requests))
    return result | {"rows": rows, "scores": scores.tolist()}


def _recorded(engine: engines.VLLMEngine) -> dict[str, dict[str, Any]]:
    """Record the raw output of vLLM: tokens and the number of cached tokens, by row."""
    rows: dict[str, dict[str, Any]] = {}
    inner = engine.guided.llm.llm_engine
    step = inner.step

    def recording() -> list[Any]:
        outputs = step()
        for output in outputs:
            tokens = list(output.outputs[0].token_ids)
            rows[output.request_id] = {"tokens": tokens, "cached": output.num_cached_tokens}
        return outputs

    inner.step = recording
    return rows


def _chains(engine: engines.VLLMEngine, prompt: prompts.Prompt, job: dict[str, Any]) -> tuple[list, dict[str, Any]]:
    recipe = Ranking(prompt, SAMPLED, job["rounds"], SCALE, redraws=3, limits=Limits(), random_seed=2024)
    ids = [f"seed {row}" for row in range(len(job["seeds"]))]
    chains, _ = blocks.run(pa.table({"seed_id": ids, "text": job["seeds"]}), engine, recipe, lambda *_: None)
    statistics = {
        "ended": sum(chain.status != "running" for chain in chains),
        "complete": sum(chain.status == "complete" for chain in chains),
        "redone": sum(chain.redone for chain in chains),
        "tokens": sum(chain.tokens for chain in chains),
    }
    return [chain.sentences for chain in chains], statistics


def _complete(engine: engines.VLLMEngine, requests: list[Request]) -> list[Completion]:
    waiting, ended, running = list(requests), [], 0
    while waiting or running:
        while waiting and running < engine.max_running:
            engine.add(waiting.pop(0))
            running += 1
        completions = engine.step()
        running -= len(completions)
        ended += completions
    return ended


def _disturbed(engine: engines.VLLMEngine, requests: list[Request]) -> list[Completion]:
    """After three steps, abort a negative row, a row of a prompt, and both rows of a pair, unknown to the engine."""
    for request in requests:
        engine.add(request)
    ended = [completion for _ in range(3) for completion in engine.step()]
    running = engine.guided._running
    victims = [running[0].requests[1], running[1].requests[0], *running[2].requests]
    engine.guided.llm.llm_engine.abort_request(victims)
    while engine.guided._running or engine.guided._waiting:
        ended += engine.step()
    return ended


def _tokens(completions: list[Completion]) -> dict[int, list[int]]:
    return {completion.id: [*completion.tokens, completion.stop] for completion in completions}


if __name__ == "__main__":
    result = run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
