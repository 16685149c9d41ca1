"""The vLLM engine on vLLM's CPU build and the real language model; vLLM lives in an environment of its own.

RANKREFINE_VLLM_PYTHON names that environment's Python (`make test-slow` builds one and sets it).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from rankrefine.assets.manifest import load_manifest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
# the full size (256 pairs, 200 chains) takes half an hour: benchmarks/vllm_engine.py
PAIRS, CHAINS = (int(os.environ.get(f"RANKREFINE_VLLM_{name}", few)) for name, few in (("PAIRS", 32), ("CHAINS", 64)))
MAX_RUNNING, ROUNDS = 16, 2


@pytest.fixture(scope="session")
def python() -> str:
    """The Python of the environment with vLLM. If it is named, it must exist."""
    named = os.environ.get("RANKREFINE_VLLM_PYTHON")
    python = ROOT / (named or ".venv-vllm/bin/python")
    if named is None and not python.exists():
        pytest.skip("vLLM's own environment is missing; `make vllm` builds it")
    assert python.exists(), f"RANKREFINE_VLLM_PYTHON: {python} does not exist"
    return str(python)


def run(python: str, *arguments: object, **environment: str) -> str:
    """The output of a script in vLLM's environment."""
    settings = {"PYTHONPATH": str(ROOT / "src"), "VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_LOGGING_LEVEL": "WARNING"}
    command = [python, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | settings | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="session")
def model(asset: Callable[[str], Path]) -> Path:
    return Path(load_manifest(asset("smollm2-135m-instruct")).path)


@pytest.fixture(scope="session")
def job(model: Path, asset: Callable[[str], Path]) -> dict[str, Any]:
    """What `vllm_process` does."""
    texts = pq.read_table(Path(load_manifest(asset("vader")).path) / "nyt.parquet")["text"].to_pylist()
    seeds = [text for text in texts if text[0].isupper() and text.endswith(".") and 6 <= len(text.split()) <= 24]
    sizes = {"max_running": MAX_RUNNING, "rounds": ROUNDS, "pairs": PAIRS}
    return {"folder": str(model), "seeds": seeds[:CHAINS], "dtype": "float32", **sizes}


@pytest.fixture(scope="session")
def result(python: str, job: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The result of `vllm_process`, which starts one engine for all tests."""
    folder = tmp_path_factory.mktemp("vllm")
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    run(python, ROOT / "tests/slow/vllm_process.py", folder / "job.json", folder / "result.json")
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def test_many_chains_with_few_at_the_same_time_stay_in_step(result: dict[str, Any]) -> None:
    assert result["chains"]["ended"] == CHAINS > 2 * MAX_RUNNING
    assert result["chains"]["redone"] == 0
    assert result["chains"]["complete"] > CHAINS / 2
    assert result["engine"]["max_running"] == MAX_RUNNING


def test_both_rows_of_every_pair_emitted_the_same_tokens(result: dict[str, Any]) -> None:
    """In the raw output of vLLM, greedy and sampled, except for the pair with a row that the test aborted."""
    rows = {tuple(name.split()): row["tokens"] for name, row in result["rows"].items()}
    numbers = [number for number, role in rows if role == "prompt"]
    apart = [number for number in numbers if rows.get((number, "negative")) != rows[number, "prompt"]]
    assert len(numbers) > CHAINS / 2 + PAIRS
    assert len(apart) <= 1


def test_prompts_come_from_the_prefix_cache(result: dict[str, Any]) -> None:
    cached = [row["cached"] for row in result["rows"].values()]
    assert sum(count > 100 for count in cached) > 0.9 * len(cached)


def test_aborted_rows_are_caught_and_their_pairs_run_again(result: dict[str, Any]) -> None:
    """A negative row, a row of a prompt, and both rows of a pair were aborted; sampled texts are as undisturbed."""
    assert result["redone"] == {"0": 1, "1": 1, "2": 1}
    assert len(result["undisturbed"]) == 6
    assert result["disturbed"] == result["undisturbed"]


def test_float32_scores_equal_those_of_the_transformers_engine(
    result: dict[str, Any], job: dict[str, Any], model: Path
) -> None:
    from rankrefine.llm import prompts
    from rankrefine.llm.guidance import Sampling
    from rankrefine.llm.transformers import engine as engines

    prompt = prompts.load("few_shot")
    settings = {"dtype": "float32", "device": "cpu", "token_budget": 65536}
    engine = engines.load(model, [prompt], Sampling(), MAX_RUNNING, settings, None)
    expected = torch.tensor(engine.score([prompt.fill(seed) for seed in job["seeds"]], ["0", "1", "A"]))
    assert len(expected) == CHAINS
    torch.testing.assert_close(torch.tensor(result["scores"]), expected, rtol=0, atol=1e-4)


def test_greedy_float32_equals_the_transformers_engine(result: dict[str, Any], model: Path) -> None:
    """On pairs of a sampled chain, so that both prompts differ; equal except at near-ties."""
    from rankrefine.llm import prompts
    from rankrefine.llm.guidance import Sampling
    from rankrefine.llm.interface import Request
    from rankrefine.llm.transformers import engine as engines

    prompt, sampling = prompts.load("few_shot"), Sampling(max_new_tokens=24)
    settings = {"dtype": "float32", "device": "cpu", "token_budget": 65536}
    engine = engines.load(model, [prompt], sampling, MAX_RUNNING, settings, None)
    pairs = [[prompt.fill(text) for text in pair] for pair in result["pairs"]]  # prompt, negative prompt
    assert len(pairs) == PAIRS
    assert all(text != negative for text, negative in pairs)
    guided, plain = (
        _complete(engine, [Request(i, *pair, scale, (i,)) for i, pair in enumerate(pairs)]) for scale in (1.5, 1.0)
    )
    ties = 0
    for i, (*tokens, stop) in ((int(i), tokens) for i, tokens in result["greedy"].items()):
        if (tuple(tokens), stop) != (guided[i].tokens, guided[i].stop):
            gap = _gap(engine, pairs[i], tokens, guided[i].tokens)
            assert gap < 1e-4, f"pair {i} differs where the two best logits are {gap} apart"
            ties += 1
    changed = sum(guided[i].tokens != plain[i].tokens for i in guided)
    print(f"\n{PAIRS} pairs: {PAIRS - ties} equal, {ties} part at near-ties, guidance changed {changed}")
    assert ties <= PAIRS / 8
    assert changed > PAIRS / 4, "guidance changed nothing, so the test is meaningless"


def _complete(engine, requests: list) -> dict[int, Any]:
    waiting, completed = list(requests), {}
    running = 0
    while waiting or running:
        while waiting and running < engine.max_running:
            engine.add(waiting.pop(0))
            running += 1
        for completion in engine.step():
            completed[completion.id] = completion
            running -= 1
    return completed


@torch.inference_mode()
def _gap(engine, pair: list, ours: list[int], theirs: tuple[int, ...]) -> float:
    """Difference of the two best guided logits where two completions part; computed by the library alone."""
    from transformers import AutoModelForCausalLM

    from rankrefine.llm.guidance import guided_logits
    from rankrefine.llm.tokens import encode

    shared = ours[: next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(ours))]
    shared = shared[: len(theirs)]
    model = AutoModelForCausalLM.from_pretrained(engine.model.config._name_or_path, dtype=torch.float32)
    logits, negative = (
        model(torch.tensor([[*encode(engine.tokenizer, text), *shared]])).logits[:, -1] for text in pair
    )
    best = guided_logits(logits, negative, 1.5).topk(2).values[0]
    return float(best[0] - best[1])


def test_the_adapter_of_the_second_model_runner_steers_alike(python: str) -> None:
    """On one made-up batch, through the interface classes of the vLLM that is installed."""
    assert "alike" in run(python, ROOT / "tests/slow/vllm_runners.py")


def test_the_example_runs(python: str, model: Path) -> None:
    """Guidance away from an equal prompt changes nothing, guidance away from another one does."""
    lines = [line.split("  ") for line in run(python, ROOT / "examples/vllm_guidance.py", model).splitlines()]
    texts = {(scale, manner): text for scale, manner, text in (line[:3] for line in lines if len(line) > 2)}
    assert len(texts) == 9
    assert texts["1.0", "You are polite."] == texts["1.5", "You are polite."] == texts["3.0", "You are polite."]
    assert texts["1.0", "You are a pirate."] != texts["3.0", "You are a pirate."]


def test_the_verb_generates_a_shard_with_vllm(python: str, asset: Callable[[str], Path], tmp_path: Path) -> None:
    """With the command of the workflow; the record names device, model runner and versions."""
    import pyarrow as pa

    from rankrefine import io

    seeds = ["The committee will publish its report before the end of the year.", "They opened a small bakery here."]
    ids = [f"{i:016x}" for i in range(len(seeds))]
    io.write_table(tmp_path / "pool.parquet", pa.table({"seed_id": ids, "text": seeds, "source": ["x"] * len(seeds)}))
    io.write_json(tmp_path / "pool.json", {"dropped": {}})
    config = {"seed": 1, "generate": {"engine": "vllm", "rounds": 2, "max_new_tokens": 24}}
    arguments = {
        "--config": json.dumps(config),
        "--pool": tmp_path / "pool.parquet",
        "--pool-stats": tmp_path / "pool.json",
        "--first": 0,
        "--rows": len(seeds),
        "--budget": len(seeds),
        "--llm": asset("smollm2-135m-instruct"),
        "--output": tmp_path / "00000.parquet",
        "--stats": tmp_path / "00000.json",
    }
    run(python, "-m", "rankrefine", "generate", *(part for pair in arguments.items() for part in pair))
    record = io.read_json(tmp_path / "00000.json")
    assert record["read"] == len(seeds)
    assert record["tokens"] > 0
    assert (record["device"], record["model_runner"]) == ("cpu", 1)
    assert "vllm-cpu" in record["versions"]
    assert io.read_table(tmp_path / "00000.parquet").num_rows == len(seeds)
