"""python -m rankrefine refine --lists L.parquet --teacher-embeddings E.safetensors --model M.json --development D.json
--output FOLDER --manifest M.json --history H.json

The encoder learns to order each list by the corrected similarities; the step with the best development score is kept,
and step 0, the base, counts.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from rankrefine import io
from rankrefine.assets.manifest import load_manifest, write_manifest
from rankrefine.encoders.embed import embed
from rankrefine.encoders.lengths import PASS_CPU, PASS_GPU, preprocessor
from rankrefine.encoders.opening import go_offline, open_encoder
from rankrefine.errors import UserError
from rankrefine.provenance import Record
from rankrefine.ranking_lists import teacher_embeddings as embeddings
from rankrefine.ranking_lists.lists import Lists
from rankrefine.ranking_lists.lists import read as read_lists
from rankrefine.refine.collator import COLUMN, ListCollator
from rankrefine.refine.losses import LOSSES, RankingLoss
from rankrefine.refine.student import prepare
from rankrefine.refine.targets import mean_profile, targets
from rankrefine.training import development as development_data
from rankrefine.training import distributed as processes
from rankrefine.training import work_folder as work

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)
LIBRARIES = ("sentence-transformers", "transformers", "accelerate", "datasets", "torch")
HELD_OUT_LISTS = "held-out lists"
# config keys that are known here by manifests and flags
ELSEWHERE = ("experiments", "seeds", "teacher", "teacher_pooling", "teacher_prompt", "development", "report_to")


def run(
    name: str,
    config: dict[str, Any],
    lists: Path,
    teacher_embeddings: list[Path],
    weights: list[float],
    model: Path,
    development: Path | None,
    report_to: list[str],
    threads: int | None,
    parallel: int,
    code: list[str],
    output: Path,
    manifest: Path,
    history: Path,
) -> None:
    """Refine one encoder; a run that was killed goes on from its last checkpoint.

    Args:
        name: Of the experiment.
        config: Completed configuration; of it `seed`, `refine` and `base.pooling`.
        lists: Ranking lists from `consolidate`.
        teacher_embeddings: Of the same lists, from `teacher`, one file for each teacher.
        weights: Of the teachers; they sum to 1.
        model: Manifest of the base encoder.
        development: Manifest of the development data; without it, every tenth list is held out to take its place.
        report_to: Trackers that follow the training.
        threads: Processor threads (default: torch's own choice).
        parallel: Processes that share out each batch, one for each GPU.
        code: Digests of the code that runs; a checkpoint of other code is not used.
        output: Model folder to write. A folder `.work` beside it exists while training runs.
        manifest: Manifest of `output` to write.
        history: JSON to write: losses, development scores, and which step was kept.

    Raises:
        UserError: unusable lists, embeddings, model or development data, a tracker that is not installed, or a loss
            that is not finite.
    """
    settings = {key: value for key, value in config["refine"].items() if key not in ELSEWHERE}
    settings |= {"pooling": config["base"]["pooling"]}
    record = Record("refine", {"seed": config["seed"], "refine": settings}, *LIBRARIES)
    settings = settings | {"seed": config["seed"]}
    if missing := [tracker for tracker in report_to if find_spec(tracker) is None]:
        raise UserError(f"refine.report_to: {missing[0]} is not installed here; pip install {missing[0]}.")
    _check_processes(settings, parallel)
    found, base = read_lists(lists), load_manifest(model)
    data = load_manifest(development) if development else None
    chosen_by = {"source": data.source if data else HELD_OUT_LISTS, "revision": data.revision if data else ""}
    if parallel > 1 and len(found.ids) < settings["batch_size"]:
        raise UserError(f"{lists} holds {len(found.ids)} lists, fewer than refine.batch_size; lower that.")
    teacher_names = _read_teachers(teacher_embeddings, weights, found)[1]
    made_by = record.made_by() | {"lists": found.digest, "teachers": teacher_names, "code": code, "parallel": parallel}
    made_by |= {"embeddings": [io.sha256(file) for file in teacher_embeddings]}
    made_by |= {"base": [base.source, base.revision], "development": chosen_by}
    with work.folder(output.with_name(".work"), made_by) as aside:
        shared = max(1, threads // parallel) if threads else None
        fields = processes.launch(
            parallel,
            _train,
            settings,
            found,
            teacher_embeddings,
            weights,
            base.path,
            data and data.path,
            shared,
            aside,
            report_to,
        )
        with io.atomic(output) as final:
            shutil.copytree(work.best(aside, fields["best_step"]), final)
        write_manifest(manifest, source=f"refined:{name}/{settings['seed']}", kind="model", path=output)
        fields |= {
            "name": name,
            "seed": settings["seed"],
            "base": {"model": base.source, "revision": base.revision},
            "teachers": teacher_names,
            "development_data": chosen_by,
            "lists": len(found.ids),
            "sentences": sum(found.sizes),
        }
        io.write_json(history, record.finish(**fields))
    _report(fields)


def _check_processes(settings: dict[str, Any], parallel: int) -> None:
    """Refuse a batch that the processes cannot share."""
    batch = settings["batch_size"]
    if batch % parallel:
        raise UserError(f"refine.batch_size is {batch}, which {parallel} processes cannot share; take a multiple.")
    if settings["contrastive"] and batch // parallel < 2:
        raise UserError(
            f"refine.contrastive compares the lists of a process, but of {batch} lists each of {parallel} processes "
            "has one; raise refine.batch_size."
        )


def _read_teachers(files: list[Path], weights: list[float], lists: Lists) -> tuple[list[Tensor], list[dict[str, Any]]]:
    """The teachers' embeddings as those of one teacher, and which teachers they are."""
    if len(files) != len(weights):
        raise UserError(f"There are {len(files)} files of teacher embeddings but {len(weights)} weights.")
    read = [embeddings.read(file, lists) for file in files]
    names = [teacher | {"weight": weight} for (_, teacher), weight in zip(read, weights, strict=True)]
    return embeddings.mix([rows for rows, _ in read], weights), names


def _train(
    settings: dict[str, Any],
    lists: Lists,
    teacher_embeddings: list[Path],
    weights: list[float],
    base: Path,
    development: Path | None,
    threads: int | None,
    aside: Path,
    report_to: list[str],
) -> dict[str, Any]:
    """Train and leave the best model in `aside`, as `work.best`; losses and scores."""
    go_offline()
    from datasets import Dataset

    from rankrefine.training import trainer

    teacher, _ = _read_teachers(teacher_embeddings, weights, lists)
    evaluator, held_out = _evaluator(development, lists, settings["max_length"])
    student = open_encoder(base, threads=threads)
    anchored = embed(student, lists.flat, settings["max_length"]).split(lists.sizes) if settings["anchor"] else None
    whole = development_data.score(evaluator, student) if settings["layers"] else None
    prepare(student, settings, settings["pooling"], settings["seed"])
    collator = ListCollator(
        preprocessor(student, settings["max_length"]),
        lists.ids,
        lists.sentences,
        teacher,
        _target(settings, teacher),
        anchored,
        PASS_CPU if student.device.type == "cpu" else PASS_GPU,
    )
    training, watch, checkpoint = trainer.build(
        student,
        Dataset.from_dict({COLUMN: [n for n in range(len(lists.ids)) if n not in held_out]}),
        _loss(student, settings),
        evaluator,
        settings,
        aside,
        collator,
        report_to,
    )
    if checkpoint:
        log.info("refine: going on from %s.", Path(checkpoint).name)
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(aside.with_name("tensorboard")))
    training.train(resume_from_checkpoint=checkpoint)
    summary = watch.summary()
    return summary if whole is None else summary | {"base_development": whole}  # not that of its first layers


def _evaluator(development: Path | None, lists: Lists, max_length: int) -> tuple[Any, set[int]]:
    """What gives the development score, and the lists on which it needs the encoder not to train."""
    if development:
        return development_data.evaluator(development), set()
    held_out = development_data.held_out(len(lists.ids))
    log.info("refine: no development data; the generated order of %d held-out lists takes its place.", len(held_out))
    sentences = [lists.sentences[number] for number in held_out]
    return development_data.list_evaluator(sentences, max_length), set(held_out)


def _loss(student: SentenceTransformer, settings: dict[str, Any]) -> nn.Module:
    """The ranking loss of full embeddings, and of cut ones where the settings want it."""
    loss = RankingLoss(student, settings["tau"], LOSSES[settings["loss"]], settings["contrastive"], settings["anchor"])
    if not settings["matryoshka"]:
        return loss
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

    full = student.get_embedding_dimension()
    if wide := [dim for dim in settings["matryoshka"] if dim > full]:
        raise UserError(f"refine.matryoshka: {wide[0]} is more than the {full} dimensions of the encoder.")
    return MatryoshkaLoss(student, loss, sorted({full, *settings["matryoshka"]}, reverse=True))


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
            "refine: no step beats the development score before training (%.2f); those weights are kept.",
            fields["best_development"],
        )
