"""python -m rankrefine base --model M.json [--examples E] --development D.json
--output FOLDER --manifest M.json --history H.json

Makes the encoder that is refined: gives it its pooling and its prompt, and trains it where the config has a recipe.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.assets.manifest import load_manifest, write_manifest
from rankrefine.encoders.opening import go_offline, open_encoder
from rankrefine.errors import UserError
from rankrefine.provenance import Record
from rankrefine.training import development as development_data
from rankrefine.training import work_folder as work

log = logging.getLogger(__name__)
LIBRARIES = ("sentence-transformers", "transformers", "accelerate", "datasets", "torch")


def run(
    config: dict[str, Any],
    model: Path,
    examples: Path | None,
    development: Path | None,
    threads: int | None,
    code: list[str],
    output: Path,
    manifest: Path,
    history: Path,
) -> None:
    """Make one encoder; a training that was killed goes on from its last checkpoint.

    Args:
        config: Completed configuration; of it `seed` and `base`.
        model: Manifest of the encoder or the bare transformer to begin with.
        examples: What the recipe trains on: a manifest, or parquet with a column `text`.
        development: Manifest of the data that choose the recipe's best step.
        threads: Processor threads (default: torch's own choice).
        code: Digests of the code that runs; a checkpoint of other code is not used.
        output: Model folder to write.
        manifest: Manifest of `output` to write.
        history: JSON to write: what was made of what, and the recipe's losses and scores.

    Raises:
        UserError: unusable model or data, or a pooling that this model cannot have.
    """
    settings = {key: value for key, value in config["base"].items() if key not in ("model", "data")}
    recipe = settings["recipe"]
    record = Record("base", {"seed": config["seed"], "base": settings}, *LIBRARIES)
    settings |= {"seed": config["seed"]}
    found = load_manifest(model)
    fields: dict[str, Any] = {"base": {"model": found.source, "revision": found.revision}}
    inputs = [io.sha256(path) for path in (model, examples, development) if path]
    made_by = record.made_by() | {"inputs": inputs, "code": code}
    with work.folder(output.with_name(".work"), made_by) as aside:
        student = _prepared(found.path, settings, threads)
        if recipe == "none":
            student.save_pretrained(str(work.best(aside, 0)), create_model_card=False)
        else:
            if examples is None or development is None:
                raise UserError(f"base.recipe {recipe} needs --examples and --development.")
            fields |= _trained(student, settings, examples, load_manifest(development).path, aside)
        with io.atomic(output) as final:
            shutil.copytree(work.best(aside, fields.get("best_step", 0)), final)
        write_manifest(manifest, source=f"base:{found.source}", kind="model", path=output)
        io.write_json(history, record.finish(**fields))
    log.info("base: %s with pooling %s%s.", found.source, settings["pooling"], _told(fields))


def _prepared(path: Path, settings: dict[str, Any], threads: int | None) -> Any:
    """The encoder with its pooling and prompt."""
    go_offline()
    from transformers import set_seed

    from rankrefine.encoders import pooling

    set_seed(settings["seed"])  # a head that the files lack begins at random
    student = open_encoder(path, settings["pooling"], settings["prompt"], threads)
    if settings["pooling"] == "cls_training_head":
        pooling.add_training_head(student)
    return student


def _trained(student: Any, settings: dict[str, Any], examples: Path, development: Path, aside: Path) -> dict[str, Any]:
    from rankrefine.base import simcse

    texts = examples if examples.suffix == ".parquet" else load_manifest(examples).path
    columns = simcse.examples(settings["recipe"], texts)
    trained = simcse.train(student, columns, development_data.evaluator(development), settings, aside)
    return {"examples": len(columns["anchor"]), **trained}


def _told(fields: dict[str, Any]) -> str:
    if "best_step" not in fields:
        return ""
    return (
        f"; development score {fields['base_development']:.2f} -> {fields['best_development']:.2f} "
        f"at step {fields['best_step']}, which is kept"
    )
