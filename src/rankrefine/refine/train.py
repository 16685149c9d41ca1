"""python -m rankrefine refine --lists L.parquet --teacher-embeddings E.safetensors --model M.json --development D.json
--output FOLDER --manifest M.json --history H.json

The encoder learns to order each list by the corrected similarities; the step with the best development score is kept,
and step 0, the base, counts.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest, write_manifest
from rankrefine.encoder import go_offline, open_encoder, shorten
from rankrefine.errors import UserError
from rankrefine.provenance import Record
from rankrefine.refine import development as development_data
from rankrefine.refine import embeddings
from rankrefine.refine.data import ListCollator, preprocessor
from rankrefine.refine.lists import Lists
from rankrefine.refine.lists import read as read_lists
from rankrefine.refine.losses import LOSSES, RankingLoss
from rankrefine.refine.targets import mean_profile, targets
from rankrefine.refine.teacher import embed

log = logging.getLogger(__name__)
LIBRARIES = ("sentence-transformers", "transformers", "accelerate", "datasets", "torch")
# config keys that are known here by manifests and flags
ELSEWHERE = ("experiments", "seeds", "model", "teacher", "development", "report_to")


def run(
    name: str,
    config: dict[str, Any],
    lists: Path,
    teacher_embeddings: list[Path],
    weights: list[float],
    model: Path,
    development: Path,
    report_to: list[str],
    threads: int | None,
    code: list[str],
    output: Path,
    manifest: Path,
    history: Path,
) -> None:
    """Refine one encoder; a run that was killed goes on from its last checkpoint.

    Args:
        name: Of the experiment.
        config: Completed configuration; of it `seed` and `refine`.
        lists: Ranking lists from `consolidate`.
        teacher_embeddings: Of the same lists, from `teacher`, one file for each teacher.
        weights: Of the teachers; they sum to 1.
        model: Manifest of the base encoder.
        development: Manifest of the development data.
        report_to: Trackers that follow the training.
        threads: Processor threads (default: torch's own choice).
        code: Digests of the code that runs; a checkpoint of other code is not used.
        output: Model folder to write. A folder `.work` beside it exists while training runs.
        manifest: Manifest of `output` to write.
        history: JSON to write: losses, development scores, and which step was kept.

    Raises:
        UserError: unusable lists, embeddings, model or development data, a tracker that is not installed, or a loss
            that is not finite.
    """
    settings = {key: value for key, value in config["refine"].items() if key not in ELSEWHERE}
    record = Record("refine", {"seed": config["seed"], "refine": settings}, *LIBRARIES)
    settings = settings | {"seed": config["seed"]}
    if missing := [tracker for tracker in report_to if find_spec(tracker) is None]:
        raise UserError(f"refine.report_to: {missing[0]} is not installed here; pip install {missing[0]}.")
    found, base, data = read_lists(lists), load_manifest(model), load_manifest(development)
    teacher, teacher_names = _teachers(teacher_embeddings, weights, found)
    made_by = record.made_by() | {"lists": found.digest, "teachers": teacher_names, "code": code}
    made_by |= {"base": [base.source, base.revision], "development": [data.source, data.revision]}
    work = _work_folder(output.with_name(".work"), made_by)
    try:
        fields = _train(settings, found, teacher, base, data, threads, work, report_to)
    except UserError:  # going on would only lead there again
        shutil.rmtree(work, ignore_errors=True)
        raise
    with io.atomic(output) as aside:
        shutil.copytree(work / "best", aside)
    fields |= {"name": name, "teachers": teacher_names}
    write_manifest(manifest, source=f"refined:{name}/{settings['seed']}", kind="model", path=output)
    io.write_json(history, record.finish(**fields))
    shutil.rmtree(work, ignore_errors=True)
    _report(fields)


def _teachers(files: list[Path], weights: list[float], lists: Lists) -> tuple[list[Tensor], list[dict[str, Any]]]:
    """The teachers' embeddings as those of one teacher, and which teachers they are."""
    if len(files) != len(weights):
        raise UserError(f"There are {len(files)} files of teacher embeddings but {len(weights)} weights.")
    read = [embeddings.read(file, lists) for file in files]
    names = [teacher | {"weight": weight} for (_, teacher), weight in zip(read, weights, strict=True)]
    return embeddings.mix([rows for rows, _ in read], weights), names


def _work_folder(folder: Path, made_by: dict[str, Any]) -> Path:
    """The folder of a training under way: the one that was left if it belongs to the same training, else a new one."""
    note, text = folder / "made_by.json", json.dumps(made_by, sort_keys=True)
    if not note.is_file() or note.read_text(encoding="utf-8") != text:
        shutil.rmtree(folder, ignore_errors=True)
        io.write_text(note, text)
    return folder


def _train(
    settings: dict[str, Any],
    lists: Lists,
    teacher: list[Tensor],
    base: Manifest,
    data: Manifest,
    threads: int | None,
    work: Path,
    report_to: list[str],
) -> dict[str, Any]:
    """Train and leave the best model in `work/best`; the fields of the history."""
    go_offline()
    from rankrefine.refine import trainer  # imports Hugging Face libraries

    evaluator = development_data.evaluator(data.path)
    student = open_encoder(base.path, threads)
    if settings["layers"]:
        shorten(student, settings["layers"])
    anchored = embed(student, lists, settings["max_length"]).split(lists.sizes) if settings["anchor"] else None
    collator = ListCollator(
        preprocessor(student, settings["max_length"]), lists.sentences, teacher, _target(settings, teacher), anchored
    )
    loss = RankingLoss(student, settings["tau"], LOSSES[settings["loss"]], settings["contrastive"], settings["anchor"])
    training, watch, checkpoint = trainer.build(
        student, lists.ids, collator, loss, evaluator, settings, work, report_to
    )
    if checkpoint:
        log.info("refine: going on from %s.", Path(checkpoint).name)
    training.train(resume_from_checkpoint=checkpoint)
    return {
        "seed": settings["seed"],
        "base": {"model": base.source, "revision": base.revision},
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


def _target(settings: dict[str, Any], teacher: list[Tensor]) -> Callable[[list[Tensor]], Tensor]:
    """What makes the targets of a batch of lists from the teacher's embeddings of them."""
    tau, rule = settings["tau_teacher"], settings["rule"]
    profile = mean_profile(teacher, tau) if rule == "profile" else None
    return partial(targets, tau=tau, omega=settings["omega"], rule=rule, profile=profile)


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
