"""The vLLM engine at full size: python benchmarks/vllm_engine.py [--dtype bfloat16] [--pairs 32] [--repeats 5]

Runs the slow tests with 256 pairs and 200 chains, then compares the speed: guided tokens per second (one for each
token that both rows of a pair emit) with the tokens per second of vLLM's own sampling without guidance, on the same
prompts and with the same number of rows. Two rows emit one guided token, so 0.5 is the limit. Both run in turn on one
engine, after a warm-up that fills its caches. RANKREFINE_VLLM_PYTHON is the Python of vLLM's environment.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import material

ROOT = Path(__file__).parents[1]
TOKENS = 48


def main() -> None:
    """Parse the command line; in vLLM's environment (`--model`) measure the speed alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--speed-only", action="store_true")
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.model is not None:
        speed(options.model, options.dtype, options.pairs, options.repeats)
        return
    python = os.environ.setdefault("RANKREFINE_VLLM_PYTHON", str(ROOT / ".venv-vllm/bin/python"))
    if not options.speed_only:
        sizes = {"RANKREFINE_VLLM_PAIRS": "256", "RANKREFINE_VLLM_CHAINS": "200"}
        tests = [sys.executable, "-m", "pytest", "-m", "slow", "-s", "tests/slow/test_vllm.py"]
        subprocess.run(tests, cwd=ROOT, env=os.environ | sizes, check=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [python, __file__, "--model", str(material.model(material.SMALL, Path(folder)).path)]
        command += ["--dtype", options.dtype, "--pairs", str(options.pairs), "--repeats", str(options.repeats)]
        environment = {"PYTHONPATH": str(ROOT / "src"), "VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1"}
        subprocess.run(command, env=os.environ | environment, check=True)


def speed(model: Path, dtype: str, pairs: int, repeats: int) -> None:
    """Print tokens per second and the median ratio over `repeats`."""
    from vllm import SamplingParams
    from vllm.inputs import tokens_input

    from rankrefine.llm import prompts
    from rankrefine.vllm_guidance import GuidedLLM, Sampling

    llm = GuidedLLM(str(model), pairs, dtype=dtype, enforce_eager=True, block_size=32, kv_cache_memory_bytes=2 << 30)
    ask = prompts.load("few_shot").fill
    texts = [
        (f"In {1900 + i} the town had {3 * i + 7} houses and a church.", f"The church of the town is from {1900 + i}.")
        for i in range(pairs)
    ]
    encoded = [tuple(llm.encode(ask(text)) for text in pair) for pair in texts]
    sampling = Sampling(temperature=0.8, plausibility=3.0, max_new_tokens=TOKENS)

    def guided() -> int:
        for index, (prompt, negative) in enumerate(encoded):
            llm.add(index, prompt, negative, 1.5, sampling, (index,), stops=())
        ended = []
        while len(ended) < pairs:
            ended += llm.step()
        assert not any(completion.redone for completion in ended)
        return sum(len(completion.tokens) for completion in ended)

    plain = SamplingParams(temperature=0.8, max_tokens=TOKENS, ignore_eos=True, detokenize=False)
    inputs = [tokens_input(prompt) for pair in encoded for prompt in pair]

    def unguided() -> int:
        return sum(len(output.outputs[0].token_ids) for output in llm.llm.generate(inputs, plain, use_tqdm=False))

    guided(), unguided()
    rates = [(_rate(guided), _rate(unguided)) for _ in range(repeats)]
    for one, other in rates:
        print(f"guided {one:6.1f} tokens/s, unguided {other:6.1f} tokens/s, ratio {one / other:.3f}")
    median = statistics.median(one / other for one, other in rates)
    print(f"{dtype}, {2 * pairs} rows, median ratio {median:.3f} of at most 0.5")


def _rate(work: Callable[[], int]) -> float:
    """Tokens per second of `work`, which returns the number of tokens."""
    started = time.perf_counter()
    return work() / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
