"""`python -m rankrefine preview`: print a few results of the language model, and the time that all would take.

Run the first block of the pool at its real size, because a few drafts alone are many times slower; stop after a minute
and print some of them. Nothing is written except for missing inputs, which the workflow makes.
"""

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from rankrefine import io, sources
from rankrefine.assets.manifest import load_manifest
from rankrefine.config import views
from rankrefine.config.views import first_teacher
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import open_encoder
from rankrefine.errors import UserError
from rankrefine.generate import blocks, pace
from rankrefine.generate.recipes.recipe import Draft, Recipe
from rankrefine.generate.run import load_engine
from rankrefine.llm.facts import facts
from rankrefine.llm.interface import Engine
from rankrefine.preview import shown
from rankrefine.preview.pace import Pace
from rankrefine.progress import Progress
from rankrefine.ranking_lists.shards import folders

log = logging.getLogger(__name__)

SECONDS = 60.0


def run(
    config: dict[str, Any],
    of: Literal["lists", "examples", "sentences"] = "lists",
    count: int = 5,
    threads: int | None = None,
) -> None:
    """Show a few results of the language model and the time that all of them would take.

    Rewrites are shown with their cosines to the seed sentence by the first teacher, training examples with those to
    the anchor by the scorer if it is an encoder, else also by the teacher. Pool and models are those under results/;
    Snakemake makes them if they are missing.

    Args:
        config: Configuration: a YAML file or inline JSON.
        of: Ranking lists, training examples of the base encoder (section examples), or seed sentences (section write).
        count: Number of lists, of seed sentences with their examples, or of written seed sentences, to show.
        threads: CPU threads to use (default: all).

    Raises:
        UserError: there is nothing of this kind to generate, or an input is missing and cannot be made, or cannot be
            used.
    """
    if count < 1:
        raise UserError(f"--count is {count} but must be at least 1.")
    if problem := _problem(config, of):
        raise UserError(problem)
    settings, kind = config["generate"], shown.KINDS[of]
    source, judging = _judge(config, of)
    judge = _manifest(source, "the encoder that is shown")
    llm = _manifest(settings["model"], "generate.model") if facts(settings["engine"]).needs_model else None
    pool = Path("results", folders(config)[0], "pool.parquet")
    _make(config, [path for path in ([llm] if of == "sentences" else [pool, llm, judge]) if path is not None])
    if settings["python"]:
        _run_in_environment(config, of, count, threads)
        return
    needed, key = config[kind.section]["count"], f"{kind.section}.count"
    recipe, rows = kind.load(config), max(count, min(settings["block_size"], needed))
    seeds = recipe.slots(0, rows) if of == "sentences" else io.read_table(pool)
    if of != "sentences" and seeds.num_rows < needed:
        log.warning("The pool has %d seed sentences, fewer than %s (%d).", seeds.num_rows, key, needed)
    seeds, model = seeds.slice(0, rows), load_manifest(llm) if llm else None
    engine = load_engine(settings, recipe, model, seeds.num_rows, threads)
    drafts, seconds = _timed(seeds, engine, recipe)
    print(kind.show(drafts[:count], recipe, _cosines(judge, judging, threads)))
    if of != "sentences":
        print(f"Cosines by {source}.")
    print(Pace.of(drafts, recipe, seconds).sentence(needed, key))


def _problem(config: dict[str, Any], of: str) -> str | None:
    """Return a sentence if the language model does not make what is to be shown, or None."""
    written, recipe, lists = config["examples"]["recipe"], config["generate"]["recipe"], config["lists"]["source"]
    if of == "sentences" and not views.writes_seeds(config):
        return (
            "preview --of sentences shows written seed sentences, but no source in seeds.sources is written; add one."
        )
    if of == "examples" and not views.writes_examples(config):
        return f"preview --of examples shows written examples, but examples.recipe is {written}; set a recipe."
    if of == "lists" and lists == "import":
        return "preview shows generated lists, but lists.source is import; set it to generate."
    if of == "lists" and recipe != "ranking":
        return f"preview shows ranking lists, but generate.recipe is {recipe}; set it to ranking."
    return None


def _judge(config: dict[str, Any], of: str) -> tuple[str, dict[str, Any]]:
    """Return the encoder whose cosines are shown, the scorer or else the first teacher, and its settings."""
    section = config["examples"]
    if of != "examples" or section["scorer"] in (None, "likelihood"):
        return first_teacher(config)
    own = {"teacher_pooling": section["scorer_pooling"], "teacher_prompt": None, "attention": "model"}
    return section["scorer"], own | {"max_length": section["max_length"]}


def _run_in_environment(config: dict[str, Any], of: str, count: int, threads: int | None) -> None:
    """Run the preview again with the Python of the engine's own environment."""
    python = config["generate"]["python"]
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "config.json"
        io.write_json(file, config | {"generate": config["generate"] | {"python": ""}})
        command = [python, "-m", "rankrefine", "preview", "--of", of, "--count", str(count), "--config", str(file)]
        command += ["--threads", str(threads)] if threads else []
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        try:
            failed = subprocess.run(command, env=environment).returncode
        except OSError as error:
            raise UserError(f"generate.python: cannot start {python} ({error.strerror}).") from error
    if failed:
        raise UserError(f"The preview failed in the environment of {python}; see the messages above.")


def _manifest(text: str, key: str) -> Path:
    """Return the path of a model's manifest."""
    return Path(f"results/assets/{sources.parse(text, 'model', key).slug}.json")


def _make(config: dict[str, Any], files: list[Path]) -> None:
    """Run Snakemake for those of `files` that are missing or outdated."""
    if not files:
        return  # without a target, Snakemake would run everything
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


def _timed(seeds: pa.Table, engine: Engine, recipe: Recipe, limit: float = SECONDS) -> tuple[list[Any], float]:
    """Run a block for about `limit` seconds, or until the first completion; return its drafts and the seconds."""
    with Progress("preview", seeds.num_rows, "seed sentence {done} of {total}") as progress:

        def after_step(drafts: list[Draft], ended: int, seconds: float) -> bool:
            share = max(pace.share(drafts, recipe), min(seconds / max(limit, 1e-9), 1.0))  # whichever ends first
            progress.to(ended, f"{pace.speed(drafts, seconds):.0f} tokens/s", share)
            return seconds > limit and any(draft.stops for draft in drafts)

        return blocks.run(seeds, engine, recipe, after_step)


def _cosines(manifest: Path, judging: dict[str, Any], threads: int | None) -> shown.Cosines:
    """Return a function of two lists of texts: the cosine of each pair, by an encoder that opens when needed."""

    @cache
    def encoder() -> Any:
        opening = (judging["teacher_pooling"], judging["teacher_prompt"], threads, judging["attention"])
        return open_encoder(load_manifest(manifest).path, *opening)

    def cosines(left: Sequence[str], right: Sequence[str]) -> list[float]:
        if not left:
            return []
        one, other = (embed(encoder(), list(texts), judging["max_length"]) for texts in (left, right))
        return (one * other).sum(1).tolist()

    return cosines
