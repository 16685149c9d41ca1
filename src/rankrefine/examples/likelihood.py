"""Rate training examples with the language model: the expected label of each anchor and its positive and negative."""

import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.errors import UserError, about
from rankrefine.examples.ratings import RATED, SCHEMA
from rankrefine.llm.facts import facts
from rankrefine.llm.interface import Engine, OutOfMemory, Sampling, Text
from rankrefine.llm.scoring import expected
from rankrefine.llm.scoring_prompts import KEY, PairPrompt, load
from rankrefine.progress import Progress
from rankrefine.provenance import Record

log = logging.getLogger(__name__)


def run(
    config: dict[str, Any], examples: Path, llm: Path | None, threads: int | None, output: Path, stats: Path
) -> None:
    """Rate training examples with the language model, by the likelihood of labels.

    Args:
        config: Configuration of the engine (section generate) and of the scorer (section examples).
        examples: Examples (parquet) from the command `examples`.
        llm: Manifest (JSON) of the language model; not for the fake engine.
        threads: CPU threads (default: all).
        output: Scores from 0 to 1 to write (parquet), a row for each example; null for a missing negative.
        stats: Record to write (JSON).

    Raises:
        UserError: the model or the scoring prompt cannot be used, or memory is too small for one prompt.
    """
    settings, section = config["generate"], config["examples"]
    record = Record("likelihood", config, *facts(settings["engine"]).packages, "pyarrow")
    prompt, manifest = load(section["scoring_prompt"]), load_manifest(llm) if llm is not None else None
    table = io.read_table(examples)
    texts = {role: table[role].to_pylist() for role in ("anchor", *RATED)}
    load_engine = import_module(f"rankrefine.llm.{settings['engine']}.engine").load
    size = min(settings["block_size"], 2 * table.num_rows)
    arguments = [prompt], Sampling(max_new_tokens=1), size, settings, threads
    engine = load_engine(manifest.path if manifest else None, *arguments)
    pairs = [
        (anchor, text) for role in RATED for anchor, text in zip(texts["anchor"], texts[role], strict=True) if text
    ]
    scores = iter(rate(pairs, engine, prompt, size, section["calibrate"]))
    columns = {role: [next(scores) if text else None for text in texts[role]] for role in RATED}
    io.write_table(output, pa.table(columns, schema=SCHEMA))
    model = manifest.source if manifest else settings["engine"]
    scorer = {"model": model, "revision": manifest.revision if manifest else None, **prompt.describe()}
    io.write_json(stats, record.finish(scorer=scorer, pairs=len(pairs), **engine.describe()))
    log.info("likelihood: %d pairs of %d examples by %s.", len(pairs), table.num_rows, model)


def rate(
    pairs: Sequence[tuple[str, str]], engine: Engine, prompt: PairPrompt, size: int, calibrate: bool
) -> list[float]:
    """Return the score of each pair, from 0 to 1; `size` pairs are in memory as prompts.

    Raises:
        UserError: a label is not one token, a prompt is too long, memory is too small for a single one, or scores are
            not finite.
    """
    scores: list[float] = []
    prior = _score([prompt.fill("", "")], engine, prompt)[0] if calibrate else None
    with Progress("likelihood", len(pairs), "{done} of {total} pairs") as progress:
        for start in range(0, len(pairs), size):
            texts = [prompt.fill(*pair) for pair in pairs[start : start + size]]
            found = expected(_score(texts, engine, prompt), prompt.values, prior)
            if not np.isfinite(found).all():
                raise UserError(
                    "The language model gives scores that are not finite; set generate.dtype to float32 or bfloat16."
                )
            scores += found.tolist()
            progress.to(len(scores))
    return scores


def _score(texts: Sequence[Text], engine: Engine, prompt: PairPrompt) -> np.ndarray:
    """Return the log-probabilities of the labels; when memory runs out, again with half as many at the same time."""
    while True:
        try:
            with about(KEY):
                return engine.score(texts, prompt.labels)
        except OutOfMemory as error:
            if engine.max_running == 1:
                raise UserError(
                    f"{KEY}: out of memory with a single prompt ({error}); use a smaller model, a shorter prompt, or "
                    "a machine with more memory."
                ) from error
            half = engine.max_running // 2
            log.warning("Out of memory (%s): going on with %d of %d prompts.", error, half, engine.max_running)
        engine.reset(half)  # outside of the handler, whose traceback still holds what was allocated
