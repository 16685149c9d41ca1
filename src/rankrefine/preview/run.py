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
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from tqdm import tqdm

from rankrefine import io, sources
from rankrefine.assets.manifest import load_manifest
from rankrefine.config.views import first_teacher
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import open_encoder
from rankrefine.errors import UserError
from rankrefine.generate import blocks
from rankrefine.generate.recipes import ranking, steps
from rankrefine.generate.recipes.recipe import Draft, Recipe
from rankrefine.generate.run import load_engine
from rankrefine.llm.facts import facts
from rankrefine.llm.interface import Engine
from rankrefine.preview import shown
from rankrefine.preview.pace import Pace

log = logging.getLogger(__name__)

SECONDS = 60.0
POOL = Path("results/seeds/pool.parquet")


def run(
    config: dict[str, Any],
    of: Literal["lists", "examples"] = "lists",
    count: int = 5,
    threads: int | None = None,
) -> None:
    """Show a few results of the language model and the time that all of them would take.

    Rewrites are shown with the teacher's similarity to the seed sentence, training examples with the scorer's.
    Pool and models are those under results/; Snakemake makes them if they are missing.

    Args:
        config: Configuration: a YAML file or inline JSON.
        of: Ranking lists, or training examples of the base encoder (section examples).
        count: Number of lists, or of seed sentences with their examples, to show.
        threads: CPU threads to use (default: all).

    Raises:
        UserError: there is nothing of this kind to generate, or an input is missing and cannot be made, or cannot be
            used.
    """
    if count < 1:
        raise UserError(f"--count is {count} but must be at least 1.")
    _check(config, of)
    settings = config["generate"]
    source, judging = _judge(config, of)
    judge = _manifest(source, "the encoder that is shown")
    llm = _manifest(settings["model"], "generate.model") if facts(settings["engine"]).needs_model else None
    _make(config, [path for path in (POOL, llm, judge) if path is not None])
    if settings["python"]:
        _run_in_environment(config, of, count, threads)
        return
    section = {"lists": "seeds", "examples": "examples"}[of]
    pool, needed = io.read_table(POOL), config[section]["count"]
    if pool.num_rows < needed:
        log.warning("The pool has %d seed sentences, fewer than %s.count (%d).", pool.num_rows, section, needed)
    seeds = pool.slice(0, max(count, min(settings["block_size"], needed)))
    recipe, model = {"lists": ranking, "examples": steps}[of].load(config), load_manifest(llm) if llm else None
    engine = load_engine(settings, recipe, model, seeds.num_rows, threads)
    drafts, seconds = _timed(seeds, engine, recipe)
    cosines = _cosines(load_manifest(judge).path, judging, threads)
    if of == "lists":
        print(shown.chains(drafts[:count], cosines))
        done = [(len(chain.sentences) - 1) / recipe.rounds for chain in drafts]
    else:
        print(shown.examples(drafts[:count], recipe, cosines))
        done = [(len(draft.sentences) + len(draft.reasons)) / len(recipe.steps) for draft in drafts]
    print(Pace.of(drafts, done, seconds).sentence(needed, f"{section}.count"))


def _check(config: dict[str, Any], of: str) -> None:
    """Raise a `UserError` if the language model does not make what is to be shown."""
    if of == "examples":
        if (name := config["examples"]["recipe"]) in ("none", "import"):
            raise UserError(
                f"preview --of examples shows generated examples, but examples.recipe is {name}; set a recipe."
            )
        return
    if config["lists"]["source"] == "import":
        raise UserError("preview shows generated lists, but lists.source is import; set it to generate.")
    if (name := config["generate"]["recipe"]) != "ranking":
        raise UserError(f"preview shows ranking lists, but generate.recipe is {name}; set it to ranking.")


def _judge(config: dict[str, Any], of: str) -> tuple[str, dict[str, Any]]:
    """Return the encoder whose cosines are shown, the scorer or else the first teacher, and its settings."""
    section = config["examples"]
    if of == "lists" or section["scorer"] in (None, "likelihood"):
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
    with tqdm(total=seeds.num_rows, desc="preview", unit="seed", disable=None) as bar:

        def after_step(drafts: list[Draft], ended: int, seconds: float) -> bool:
            bar.update(ended - bar.n)
            return seconds > limit and any(draft.stops for draft in drafts)

        return blocks.run(seeds, engine, recipe, after_step)


def _cosines(folder: Path, judging: dict[str, Any], threads: int | None) -> shown.Cosines:
    """Return a function of two lists of texts: the cosine of each pair by an encoder."""
    opening = (judging["teacher_pooling"], judging["teacher_prompt"], threads, judging["attention"])
    encoder = open_encoder(folder, *opening)

    def cosines(left: Sequence[str], right: Sequence[str]) -> list[float]:
        if not left:
            return []
        one, other = (embed(encoder, list(texts), judging["max_length"]) for texts in (left, right))
        return (one * other).sum(1).tolist()

    return cosines
