"""python -m rankrefine refine --lists L.parquet --teacher-embeddings E.safetensors --model M.json --development D.json
--output FOLDER --manifest M.json --history H.json

The encoder learns to order each list by the corrected similarities; the step with the best development score is kept,
and step 0, the base, counts.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest, write_manifest
from rankrefine.encoder import go_offline, open_encoder
from rankrefine.provenance import Record
from rankrefine.refine import development as development_data
from rankrefine.refine import embeddings
from rankrefine.refine.data import ListCollator, preprocessor
from rankrefine.refine.lists import Lists
from rankrefine.refine.lists import read as read_lists
from rankrefine.refine.losses import RankingLoss

log = logging.getLogger(__name__)
LIBRARIES = ("sentence-transformers", "transformers", "accelerate", "datasets", "torch")
ELSEWHERE = ("model", "teacher", "development")  # config keys that are known here by their manifests


def run(
    config: dict[str, Any],
    lists: Path,
    teacher_embeddings: Path,
    model: Path,
    development: Path,
    threads: int | None,
    output: Path,
    manifest: Path,
    history: Path,
) -> None:
    """Refine one encoder.

    Args:
        config: Completed configuration; of it `seed` and `refine`.
        lists: Ranking lists from `consolidate`.
        teacher_embeddings: Of the same lists, from `teacher`.
        model: Manifest of the base encoder.
        development: Manifest of the development data.
        threads: Processor threads (default: torch's own choice).
        output: Model folder to write. A folder `.work.…` beside it exists while training runs.
        manifest: Manifest of `output` to write.
        history: JSON to write: losses, development scores, and which step was kept.

    Raises:
        UserError: unusable lists, embeddings, model or development data, or a loss that is not finite.
    """
    settings = {key: value for key, value in config["refine"].items() if key not in ELSEWHERE}
    record = Record("refine", {"seed": config["seed"], "refine": settings}, *LIBRARIES)
    found, base, data = read_lists(lists), load_manifest(model), load_manifest(development)
    settings = settings | {"seed": config["seed"]}
    for left in output.parent.glob(".work.*"):  # of a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".work.") as scratch:
        work = Path(scratch)
        fields = _train(settings, found, teacher_embeddings, base, data, threads, work)
        with io.atomic(output) as aside:
            (work / "best").replace(aside)
    name = f"refined:{settings['name']}/{settings['seed']}"
    write_manifest(manifest, source=name, kind="model", path=output)
    io.write_json(history, record.finish(**fields))
    _report(fields)


def _train(
    settings: dict[str, Any],
    lists: Lists,
    teacher_embeddings: Path,
    base: Manifest,
    data: Manifest,
    threads: int | None,
    work: Path,
) -> dict[str, Any]:
    """Train and leave the best model in `work/best`; the fields of the history."""
    go_offline()
    from rankrefine.refine import trainer  # imports Hugging Face libraries

    teacher, teacher_name = embeddings.read(teacher_embeddings, lists)
    evaluator = development_data.evaluator(data.path)
    student = open_encoder(base.path, threads)
    preprocess = preprocessor(student, settings["max_length"])
    collator = ListCollator(preprocess, lists.sentences, teacher, settings["tau_teacher"], settings["omega"])
    loss = RankingLoss(student, settings["tau"])
    training, watch = trainer.build(student, lists.ids, collator, loss, evaluator, settings, work)
    training.train()
    return {
        "name": settings["name"],
        "seed": settings["seed"],
        "base": {"model": base.source, "revision": base.revision},
        "teacher": teacher_name,
        "development_data": {"source": data.source, "revision": data.revision},
        "base_development": watch.scores[0]["score"],
        "best_step": watch.best["step"],
        "best_development": watch.best["score"],
        "improved": watch.best["step"] > 0,
        "steps": watch.losses,
        "development": watch.scores,
        "lists": len(lists.ids),
        "sentences": sum(lists.sizes),
    }


def _report(fields: dict[str, Any]) -> None:
    if fields["improved"]:
        log.info(
            "refine: development score %.2f -> %.2f at step %d, which is kept.",
            fields["base_development"],
            fields["best_development"],
            fields["best_step"],
        )
    else:
        log.info(
            "refine: no step beats the base's development score of %.2f; the base's weights are kept.",
            fields["base_development"],
        )
