"""Prepare the encoder to refine: `python -m rankrefine base`.

Sets its pooling, prompt and attention, and trains it if the config has an objective.
"""

import logging
import shutil
from operator import eq
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.assets.manifest import load_manifest, write_manifest
from rankrefine.encoders.opening import go_offline, open_encoder
from rankrefine.errors import UserError
from rankrefine.provenance import Record
from rankrefine.training.development import evaluator
from rankrefine.training.work_folder import best_model, work_folder

log = logging.getLogger(__name__)
LIBRARIES = ("sentence-transformers", "transformers", "accelerate", "datasets", "torch")


def run(
    config: dict[str, Any],
    model: Path,
    examples: Path | None,
    development: Path | None,
    threads: int | None,
    code: list[str] | None,
    output: Path,
    manifest: Path,
    history: Path,
    guides: list[Path] | None = None,
    guide_weights: list[float] | None = None,
) -> None:
    """Prepare the encoder to refine: pooling, prompt, attention, training.

    An interrupted training resumes from its checkpoint.

    Args:
        config: Configuration of the encoder (section base).
        model: Manifest (JSON) of the encoder or bare transformer to start from.
        examples: Training data of the objective: a manifest (JSON), or a parquet file with a column text.
        development: Manifest (JSON) of the development data, which choose the best step.
        threads: CPU threads (default: all).
        code: Code digests; checkpoints from different code are discarded (default: none).
        output: Model folder to write. A folder `.work` beside it exists during the training.
        manifest: Manifest (JSON) of the model to write.
        history: Record (JSON) to write: inputs, and the losses and development scores of the training.
        guides: Manifests (JSON) of the frozen encoders that the objective compares with (default: none).
        guide_weights: Weight of each guide; they sum to 1.

    Raises:
        UserError: model, guides or data cannot be used, or the model does not support the pooling or the attention.
    """
    record = Record("base", config, *LIBRARIES)
    section, start = config["base"], load_manifest(model)
    fields: dict[str, Any] = {"base": {"model": start.source, "revision": start.revision}}
    guides, guide_weights = guides or [], guide_weights or []
    if len(guides) != len(guide_weights):
        raise UserError(f"The number of guides ({len(guides)}) and of weights ({len(guide_weights)}) differ.")
    digests = [io.sha256(path) for path in (model, examples, development, *guides) if path]
    inputs = record.inputs() | {"inputs": digests, "weights": guide_weights, "code": code or []}
    with work_folder(output.with_name(".work"), inputs) as folder:
        student = _open(start.path, section, config["seed"], threads)
        if section["objective"] == "none":
            from rankrefine.encoders.saving import save  # here, because it imports torch

            save(student, best_model(folder, 0))
        elif examples is None or development is None:
            raise UserError(f"base.objective {section['objective']} requires --examples and --development.")
        else:
            frozen = [(load_manifest(guide), weight) for guide, weight in zip(guides, guide_weights, strict=True)]
            fields["guides"] = [
                {"model": guide.source, "revision": guide.revision, "weight": weight} for guide, weight in frozen
            ]
            paths = [(guide.path, weight) for guide, weight in frozen]
            data = examples if examples.suffix == ".parquet" else load_manifest(examples).path
            pairs = load_manifest(development).path
            fields |= _train(student, start.path, config, data, pairs, paths, threads, folder)
        with io.atomic(output) as temporary:
            shutil.copytree(best_model(folder, fields.get("best_step", 0)), temporary)
        write_manifest(manifest, source=f"base:{start.source}", kind="model", path=output)
        io.write_json(history, record.finish(**fields))
    log.info("base: %s with pooling %s.", start.source, section["pooling"])
    if "best_step" in fields:
        scores = (fields["base_development"], fields["best_development"], fields["best_step"])
        log.info("base: development score %.2f -> %.2f; keeping step %d.", *scores)


def _open(path: Path, section: dict[str, Any], random_seed: int, threads: int | None) -> Any:
    """Open the encoder with its pooling, prompt, attention and training head."""
    go_offline()
    from transformers import set_seed

    from rankrefine.encoders.pooling import add_training_head

    set_seed(random_seed)  # a head that is missing in the files is initialised at random
    student = open_encoder(path, section["pooling"], section["prompt"], threads, section["attention"])
    if section["pooling"] == "cls_training_head":
        add_training_head(student)
    return student


def _train(
    student: Any,
    start: Path,
    config: dict[str, Any],
    data: Path,
    development: Path,
    guides: list[tuple[Path, float]],
    threads: int | None,
    folder: Path,
) -> dict[str, Any]:
    """Train the encoder from the folder `start`, with `guides` and their weights; return the fields of the record."""
    from rankrefine.base import examples, guide
    from rankrefine.base.objectives import OBJECTIVES
    from rankrefine.base.train import has_dropout, train

    section = config["base"]
    if OBJECTIVES[section["objective"]].guided and not guides:
        raise UserError(f"base.objective {section['objective']} requires --guides.")
    columns = examples.read(section["objective"], data)
    counts = {"examples": len(columns["anchor"])}
    if "negative" in columns:
        counts["negatives"] = sum(negative is not None for negative in columns["negative"])
    equal = sum(map(eq, columns["anchor"], columns["positive"]))
    if equal and not has_dropout(student):
        log.warning(
            "This transformer has no dropout, so that both views of a sentence are equal in %d of %d examples; train "
            "on pairs of different sentences (base.data or examples.recipe), or from another base.model.",
            *(equal, counts["examples"]),
        )
    frozen = guide.load(guides, columns, section, threads, folder) if guides else None
    return counts | train(student, start, columns, frozen, evaluator(development), config, folder)
