"""`python -m rankrefine preview`: print a few ranking lists, and the time that all of them would take.

Run the first block of the pool at its real size, because a few chains alone are many times slower; stop after a minute
and print some of its chains. Nothing is written except for missing inputs, which the workflow makes.
"""

import logging
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from rankrefine import io, sources
from rankrefine.assets.manifest import load_manifest
from rankrefine.config.views import first_teacher
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import open_encoder
from rankrefine.errors import UserError
from rankrefine.generate import blocks
from rankrefine.generate.recipes import ranking
from rankrefine.generate.recipes.ranking import Chain, Ranking
from rankrefine.generate.recipes.recipe import COMPLETE, RUNNING
from rankrefine.generate.run import load_engine
from rankrefine.llm.facts import facts
from rankrefine.llm.interface import Engine
from rankrefine.ranking_lists.lists import Lists
from rankrefine.ranking_lists.similarity_to_seed import to_seed

log = logging.getLogger(__name__)

SECONDS = 60.0
POOL = Path("results/seeds/pool.parquet")


def run(config: dict[str, Any], count: int = 5, threads: int | None = None) -> None:
    """Show a few ranking lists and the time that all of them would take.

    Each rewrite is shown with the teacher's similarity to the seed sentence. Pool, language model and teacher are
    those under results/; Snakemake makes them if they are missing.

    Args:
        config: Configuration: a YAML file or inline JSON.
        count: Number of lists to show.
        threads: CPU threads to use (default: all).

    Raises:
        UserError: lists are imported or of another recipe, or one of the inputs is missing and cannot be made, or
            cannot be used.
    """
    if count < 1:
        raise UserError(f"--count is {count} but must be at least 1.")
    if config["lists"]["source"] == "import":
        raise UserError("preview shows generated lists, but lists.source is import; set it to generate.")
    settings = config["generate"]
    if (name := settings["recipe"]) != "ranking":
        raise UserError(f"preview shows ranking lists, but generate.recipe is {name}; set it to ranking.")
    source, judging = first_teacher(config)
    teacher = _manifest(source, "refine.teacher")
    llm = _manifest(settings["model"], "generate.model") if facts(settings["engine"]).needs_model else None
    _make(config, [path for path in (POOL, llm, teacher) if path is not None])
    if settings["python"]:
        _run_in_environment(config, count, threads)
        return
    pool, needed = io.read_table(POOL), config["seeds"]["count"]
    if pool.num_rows < needed:
        log.warning("The pool has %d seed sentences, fewer than seeds.count (%d).", pool.num_rows, needed)
    seeds = pool.slice(0, max(count, min(settings["block_size"], needed)))
    recipe, model = ranking.load(config), load_manifest(llm) if llm else None
    engine = load_engine(settings, recipe, model, seeds.num_rows, threads)
    chains, seconds = _timed(seeds, engine, recipe)
    cosines = _similarity(chains[:count], load_manifest(teacher).path, judging, threads)
    print(as_text(chains[:count], cosines))
    print(Pace.of(chains, recipe.rounds, seconds).sentence(needed))


def _run_in_environment(config: dict[str, Any], count: int, threads: int | None) -> None:
    """Run the preview again with the Python of the engine's own environment."""
    python = config["generate"]["python"]
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "config.json"
        io.write_json(file, config | {"generate": config["generate"] | {"python": ""}})
        command = [python, "-m", "rankrefine", "preview", "--count", str(count), "--config", str(file)]
        command += ["--threads", str(threads)] if threads else []
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        try:
            failed = subprocess.run(command, env=environment).returncode
        except OSError as error:
            raise UserError(f"generate.python: cannot start {python} ({error.strerror}).") from error
    if failed:
        raise UserError(f"The preview failed in the environment of {python}; see the messages above.")


def as_text(chains: Sequence[Chain], cosines: Sequence[Sequence[float]]) -> str:
    """Format chains: the seed sentence, each rewrite after its similarity, and the reason if a chain ended early.

    Args:
        cosines: of each sentence of each chain to its seed sentence; entries beyond the end of a chain are ignored.
    """
    lines = []
    for chain, row in zip(chains, cosines, strict=True):
        lines += ["", f"      {chain.sentences[0]}"]
        rewrites = zip(chain.sentences[1:], row[1:], strict=False)
        lines += [f"{cosine:5.2f} {sentence}" for sentence, cosine in rewrites]
        if chain.status == RUNNING:
            lines.append("      (stopped: time limit)")
        elif chain.status != COMPLETE:
            lines.append(f"      (given up: {chain.status})")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Pace:
    """Speed of generation."""

    chains: int  # number of chains
    share: float  # finished part of their work, 0 to 1; a chain that was given up has no work left
    given_up: int  # chains that ended early
    tokens: int  # of all completions, including rejected ones
    seconds: float  # elapsed time

    @classmethod
    def of(cls, chains: Sequence[Chain], rounds: int, seconds: float) -> "Pace":
        """Return the pace of chains of `rounds` rewrites after `seconds`."""
        running = [chain for chain in chains if chain.status == RUNNING]
        left = sum(rounds + 1 - len(chain.sentences) for chain in running) / (rounds * len(chains))
        given_up = sum(chain.status not in (RUNNING, COMPLETE) for chain in chains)
        return cls(len(chains), 1 - left, given_up, sum(chain.tokens for chain in chains), seconds)

    def hours(self, count: int) -> float:
        """Hours that `count` chains would take at this pace; infinite if no work is finished yet."""
        return count / self.chains * self.seconds / self.share / 3600 if self.share else float("inf")

    def sentence(self, count: int) -> str:
        """Speed and estimate in words."""
        speed = self.tokens / max(self.seconds, 1e-9)
        return (
            f"{self.chains} concurrent chains: {self.share:.0%} of their rewrites in {self.seconds:.0f} s, "
            f"{speed:.0f} tokens/s, {self.given_up} given up.\n"
            f"All {count} lists (seeds.count) would take {_duration(self.hours(count))} on this machine, one "
            "shard after the other."
        )


def _duration(hours: float) -> str:
    if math.isinf(hours):
        return "an unknown time (no rewrite was finished)"
    return f"about {hours:.1f} hours" if hours >= 1 else f"about {math.ceil(60 * hours)} min"


def _manifest(text: str, key: str) -> Path:
    """Return the path of a model's manifest."""
    return Path(f"results/assets/{sources.parse(text, 'model', key).slug}.json")


def _make(config: dict[str, Any], files: list[Path]) -> None:
    """Run Snakemake for those of `files` that are missing or outdated."""
    if not Path("Snakefile").exists():
        if missing := [file for file in files if not file.exists()]:
            raise UserError(f"{missing[0]} is missing; run this in the folder with the Snakefile to make it.")
        return
    targets = [str(file) for file in files]
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "config.json"
        io.write_json(file, config)
        command = [sys.executable, "-m", "snakemake", *targets, "--cores", "all", "--configfile", str(file)]
        if subprocess.run([*command, "--quiet", "host", "progress", "reason", "rules"]).returncode:
            raise UserError(f"Snakemake could not make {', '.join(targets)}; see its messages above.")


def _timed(seeds: pa.Table, engine: Engine, recipe: Ranking, limit: float = SECONDS) -> tuple[list[Chain], float]:
    """Run a block for about `limit` seconds, or until the first rewrite; return its chains and the elapsed seconds."""
    with tqdm(total=seeds.num_rows, desc="preview", unit="list", disable=None) as bar:

        def after_step(chains: list[Chain], ended: int, seconds: float) -> bool:
            bar.update(ended - bar.n)
            return seconds > limit and any(chain.stops for chain in chains)

        return blocks.run(seeds, engine, recipe, after_step)


def _similarity(chains: list[Chain], teacher: Path, judging: dict[str, Any], threads: int | None) -> np.ndarray:
    """Cosine of each sentence to its seed sentence, [chains, longest chain]."""
    lists = Lists([chain.seed_id for chain in chains], [chain.sentences for chain in chains])
    opening = (judging["teacher_pooling"], judging["teacher_prompt"], threads, judging["attention"])
    encoder = open_encoder(teacher, *opening)
    return to_seed(embed(encoder, lists.flat, judging["max_length"]).numpy(), lists.sizes)
