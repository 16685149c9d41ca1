"""`python -m rankrefine generate --preview 5`: a few chains on the screen, and how long all of them would take.

Runs the first block of the pool as a shard would, at its real size, because a few chains alone are many times slower;
stops after a minute, shows some of its chains, and writes nothing but what the workflow itself would write first.
"""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from rankrefine import io, sources
from rankrefine.assets.manifest import load_manifest
from rankrefine.config.load import first_teacher, without
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import open_encoder
from rankrefine.errors import UserError
from rankrefine.generate import blocks
from rankrefine.generate import run as shard
from rankrefine.generate.recipes.ranking import Chain, Plan
from rankrefine.generate.recipes.ranking import run as run_chains
from rankrefine.llm.interface import Completion, Engine, OutOfMemory, Request
from rankrefine.ranking_lists.lists import Lists
from rankrefine.ranking_lists.similarity_to_seed import to_seed

log = logging.getLogger(__name__)

SECONDS = 60.0
POOL = Path("results/seeds/pool.parquet")


def run(config: dict[str, Any], count: int, threads: int | None) -> None:
    """Print `count` chains with the teacher's similarity of each rewrite to the seed, the speed, and the hours.

    Pool, language model and teacher are those under results/; the workflow's rules make them where they are missing.

    Raises:
        UserError: one of them is missing and cannot be made, or cannot be used.
    """
    settings = config["generate"]
    source, judging = first_teacher(config)
    teacher = _manifest(source, "refine.teacher")
    llm = None if settings["engine"] == "fake" else _manifest(settings["model"], "generate.model")
    _provide(config, [path for path in (POOL, llm, teacher) if path is not None])
    if settings["python"]:
        _elsewhere(config, count, threads)
        return
    pool, wanted = io.read_table(POOL), config["seeds"]["count"]
    if pool.num_rows < wanted:
        log.warning("The pool holds %d seed sentences, less than seeds.count (%d).", pool.num_rows, wanted)
    seeds = pool.slice(0, max(count, min(settings["block_size"], wanted)))
    plan, model = shard.plan_of(config), load_manifest(llm) if llm else None
    engine = shard.load_engine(settings, plan, shard.sampling_of(settings), model, seeds.num_rows, threads)
    chains, seconds = _timed(seeds, engine, plan)
    shown = chains[:count]
    cosines = _similarity(shown, load_manifest(teacher).path, judging, threads)
    print(as_text(shown, cosines))
    print(Pace.of(chains, plan.rounds, seconds).sentence(wanted))


def _elsewhere(config: dict[str, Any], count: int, threads: int | None) -> None:
    """The rest of the preview in the engine's own environment."""
    python = config["generate"]["python"]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "config.json"
        io.write_json(file, without(config, "generate", "python"))
        command = [python, "-m", "rankrefine", "generate", "--preview", str(count), "--config", str(file)]
        command += ["--threads", str(threads)] if threads else []
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        try:
            failed = subprocess.run(command, env=environment).returncode
        except OSError as error:
            raise UserError(f"generate.python: {python} does not start ({error.strerror}).") from error
    if failed:
        raise UserError(f"The preview failed in the environment of {python}; see above.")


def as_text(chains: Sequence[Chain], cosines: Sequence[Sequence[float]]) -> str:
    """Chains as text: the seed sentence, then each rewrite behind its similarity to it, and why a chain ended early.

    Args:
        cosines: of each sentence of each chain to its seed; entries beyond the end of a chain are not read.
    """
    lines = []
    for chain, row in zip(chains, cosines, strict=True):
        lines += ["", f"      {chain.sentences[0]}"]
        rewrites = zip(chain.sentences[1:], row[1:], strict=False)
        lines += [f"{cosine:5.2f} {sentence}" for sentence, cosine in rewrites]
        if chain.status == "running":
            lines.append("      (stopped: time is up)")
        elif chain.status != "complete":
            lines.append(f"      (given up: {chain.status})")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Pace:
    """How fast chains were made.

    Attributes:
        chains: how many.
        share: how much of their work is done, 0 to 1; a chain that was given up needs no more of it.
        given_up: chains that ended early.
        tokens: tokens of all completions, also of those that were refused.
        seconds: the time it took.
    """

    chains: int
    share: float
    given_up: int
    tokens: int
    seconds: float

    @classmethod
    def of(cls, chains: Sequence[Chain], rounds: int, seconds: float) -> Pace:
        """The pace of chains of `rounds` rewrites after `seconds`."""
        running = [chain for chain in chains if chain.status == "running"]
        left = sum(rounds + 1 - len(chain.sentences) for chain in running) / (rounds * len(chains))
        given_up = sum(chain.status not in ("running", "complete") for chain in chains)
        return cls(len(chains), 1 - left, given_up, sum(chain.tokens for chain in chains), seconds)

    def hours(self, count: int) -> float:
        """Hours that `count` chains would take at this pace; endless if nothing is done yet."""
        return count / self.chains * self.seconds / self.share / 3600 if self.share else float("inf")

    def sentence(self, count: int) -> str:
        """Speed and estimate in words."""
        speed = self.tokens / max(self.seconds, 1e-9)
        return (
            f"{self.chains} chains together: {self.share:.0%} of their rewrites in {self.seconds:.0f} s, "
            f"{speed:.0f} tokens/s, {self.given_up} given up.\n"
            f"All {count} lists (seeds.count) would take {_duration(self.hours(count))} on this machine, one "
            "shard after the other."
        )


def _duration(hours: float) -> str:
    if math.isinf(hours):
        return "longer than can be told from no rewrite"
    return f"about {hours:.1f} hours" if hours >= 1 else f"about {math.ceil(60 * hours)} min"


def _manifest(text: str, key: str) -> Path:
    """Where the workflow keeps the manifest of a model."""
    return Path(f"results/assets/{sources.parse(text, 'model', key).slug}.json")


def _provide(config: dict[str, Any], files: list[Path]) -> None:
    """Have the workflow make those of `files` that are missing, or were made with another configuration."""
    if not Path("Snakefile").exists():
        if missing := [file for file in files if not file.exists()]:
            raise UserError(f"{missing[0]} is missing; run this where the Snakefile lies, which says how it is made.")
        return
    wanted = [str(file) for file in files]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "config.json"
        io.write_json(file, config)
        command = [sys.executable, "-m", "snakemake", *wanted, "--cores", "all", "--configfile", str(file)]
        if subprocess.run([*command, "--quiet", "host", "progress", "reason", "rules"]).returncode:
            raise UserError(f"Snakemake could not make {', '.join(wanted)}; see what it says above.")


class _TimeIsUp(Exception):
    """Enough is known."""


class _Until:
    """An engine that stops, by raising `_TimeIsUp`, once the time is up and something has come out of it."""

    def __init__(self, engine: Engine, end: float) -> None:
        self._engine, self._end = engine, end
        self._answered = False
        self.seats = engine.seats

    def add(self, request: Request) -> None:
        self._engine.add(request)

    def step(self) -> list[Completion]:
        if self._answered and time.monotonic() > self._end:
            raise _TimeIsUp
        completions = self._engine.step()
        self._answered |= bool(completions)
        return completions


def _timed(seeds: pa.Table, engine: Engine, plan: Plan, limit: float = SECONDS) -> tuple[list[Chain], float]:
    """The chains of a block after about `limit` seconds at most, and the seconds they took; see `blocks.run`."""
    while True:
        engine.reset()
        chains, started = blocks.start(seeds), time.monotonic()
        ended = run_chains(chains, _Until(engine, started + limit), plan)
        try:
            with suppress(_TimeIsUp):
                for _ in tqdm(ended, "preview", len(chains), unit="list", disable=None):
                    pass
            return chains, time.monotonic() - started
        except OutOfMemory as error:
            if engine.seats == 1:
                raise UserError(f"There is not enough memory for one pair of prompts ({error}).") from error
            half = engine.seats // 2
            log.warning("%s: going on with %d chains at a time instead of %d.", error, half, engine.seats)
        engine.reset(half)  # outside of the handler, whose traceback still holds what was allocated


def _similarity(chains: list[Chain], teacher: Path, judging: dict[str, Any], threads: int | None) -> np.ndarray:
    """Cosine of each sentence to its seed, [chains, longest chain]."""
    lists = Lists([chain.seed_id for chain in chains], [chain.sentences for chain in chains])
    encoder = open_encoder(teacher, judging["teacher_pooling"], judging["teacher_prompt"], threads)
    return to_seed(embed(encoder, lists.flat, judging["max_length"]).numpy(), lists.sizes)
