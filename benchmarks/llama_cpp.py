"""llama.cpp on ranking chains without guidance, by `xllamacpp`: its server in this process, no network."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import xllamacpp

from rankrefine.generate.recipes.ranking import Chain, Ranking
from rankrefine.generate.recipes.recipe import RUNNING
from rankrefine.llm.interface import Completion, Request
from rankrefine.llm.tokens import encode, open_tokenizer

ROOM = 1024  # tokens of a prompt with its completion
QUIET = -1  # nothing but errors


def instructions() -> str:
    """Return the instruction sets that the installed build uses on this processor."""
    fields = xllamacpp.get_system_info().removeprefix("CPU : ").split(" | ")
    return ", ".join(field.partition(" = ")[0] for field in fields if field.strip())


def rate(gguf: Path, model: Path, recipe: Ranking, texts: list[str], sequences: int, threads: int) -> float:
    """Tokens per second of chains from `texts`, by llama.cpp's own count, `sequences` at the same time.

    The recipe decides about rewrites as it does for our engines. Each sequence has read the prompt template before.
    """
    server = _server(gguf, sequences, threads)
    tokenizer, lock = open_tokenizer(model), Lock()  # tokenizers are not made for several threads
    counts: list[int] = []

    def complete(request: Request, most: int) -> Completion:
        with lock:
            prompt = encode(tokenizer, request.prompt)
        answered = server.handle_completions({"prompt": prompt, **_sampling(recipe, request, most)})
        choice = answered["choices"][0]
        counts.append(answered["usage"]["completion_tokens"])
        return Completion(request.id, choice["text"], (), "length" if choice["finish_reason"] == "length" else "end")

    def chain(draft: Chain) -> None:
        while draft.status == RUNNING:
            recipe.take(draft, complete(recipe.request(draft), recipe.sampling.max_new_tokens))

    drafts = [recipe.start(row, str(row), text) for row, text in enumerate(texts)]
    with ThreadPoolExecutor(sequences) as pool:
        list(pool.map(lambda draft: complete(recipe.request(draft), 2), [drafts[0]] * sequences))
        counts.clear()
        started = time.perf_counter()
        list(pool.map(chain, drafts))
        return sum(counts) / (time.perf_counter() - started)


def _server(gguf: Path, sequences: int, threads: int) -> xllamacpp.Server:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(gguf)
    parameters.n_parallel, parameters.n_ctx = sequences, sequences * ROOM
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.cache_ram_mib = 0  # no copies of finished sequences, which take time
    parameters.verbosity = QUIET
    return xllamacpp.Server(parameters)


def _sampling(recipe: Ranking, request: Request, most: int) -> dict[str, Any]:
    """Return the recipe's sampling: min_p, which comes before the temperature, is the plausibility cut."""
    sampling = recipe.sampling
    return {
        "max_tokens": most,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": 0,
        "min_p": max(sampling.min_p, math.exp(-sampling.plausibility)),
        "stop": ["\n"] if request.one_line else [],
    }
