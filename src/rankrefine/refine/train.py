"""Train the student, in one of the processes of a training."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from rankrefine.encoders.counting import counting
from rankrefine.encoders.embed import embed
from rankrefine.encoders.lengths import PASS_CPU, PASS_GPU, preprocessor
from rankrefine.encoders.opening import go_offline, open_encoder
from rankrefine.errors import UserError
from rankrefine.ranking_lists import teacher_embeddings
from rankrefine.ranking_lists.lists import Lists
from rankrefine.refine.collator import COLUMN, ListCollator
from rankrefine.refine.losses import RankingLoss
from rankrefine.refine.student import prepare
from rankrefine.refine.targets import target_function
from rankrefine.training import development
from rankrefine.training.hyperparameters import Hyperparameters
from rankrefine.training.ranking_losses import LOSSES

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """Inputs of a training, the same in all its processes."""

    name: str  # in messages about its progress
    config: dict[str, Any]
    lists: Lists
    teacher_files: list[Path]  # embeddings of the lists, one file for each teacher
    weights: list[float]  # of the teachers
    base: Path  # folder of the base encoder
    development: Path | None  # folder of the development data; without it, lists are held out
    held_out: list[int]  # indices of these lists
    threads: int | None  # CPU threads of each process; None for torch's own choice
    report_to: list[str] | None  # experiment trackers
    folder: Path  # work folder


def train(job: Job, teacher: list[Tensor] | None = None) -> dict[str, Any]:
    """Train the student; results are those of `trainer.train`, errors those of `rankrefine.refine.run`.

    `teacher` has the embeddings of each list by the teachers; by default they are read from the job's files.
    """
    go_offline()
    from datasets import Dataset

    from rankrefine.training import trainer

    section, lists = job.config["refine"], job.lists
    hyperparameters = Hyperparameters.of(section, job.config["seed"])
    if teacher is None:
        teacher, _ = teacher_embeddings.read_mixed(job.teacher_files, job.weights, lists)
    evaluator = _evaluator(job, hyperparameters.max_length)
    student = open_encoder(job.base, threads=job.threads)
    anchor = None
    if section["anchor"]:
        with counting(student, f"{job.name}, anchor", len(set(lists.flat))):
            anchor = embed(student, lists.flat, hyperparameters.max_length).split(lists.sizes)
    base_score = 100 * float(evaluator(student)[development.METRIC]) if section["layers"] else None
    prepare(student, section, job.config["base"]["pooling"], hyperparameters.random_seed)
    held_out = set(job.held_out)
    collator = ListCollator(
        preprocessor(student, hyperparameters.max_length),
        lists.ids,
        lists.sentences,
        teacher,
        target_function(section["target"], section["tau_teacher"], section["omega"], teacher),
        anchor,
        PASS_CPU if student.device.type == "cpu" else PASS_GPU,
    )
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(job.folder.with_name("tensorboard")))
    summary = trainer.train(
        student,
        Dataset.from_dict({COLUMN: [index for index in range(len(lists.ids)) if index not in held_out]}),
        ranking_loss(student, section),
        evaluator,
        hyperparameters,
        job.folder,
        collator,
        job.name,
        job.report_to,
    )
    # a shortened student is compared with the whole base encoder, not with its first layers
    return summary if base_score is None else summary | {"base_development": base_score}


def _evaluator(job: Job, max_length: int) -> Any:
    """Return the evaluator of the development score."""
    if job.development:
        return development.evaluator(job.development)
    log.info("refine: no development data; using the generated order of %d held-out lists instead.", len(job.held_out))
    return development.list_evaluator([job.lists.sentences[index] for index in job.held_out], max_length)


def ranking_loss(student: SentenceTransformer, section: dict[str, Any]) -> nn.Module:
    """Return the loss of full embeddings and, with `matryoshka`, of truncated ones.

    Raises:
        UserError: `matryoshka` has more dimensions than the encoder.
    """
    loss = RankingLoss(student, section["tau"], LOSSES[section["loss"]], section["contrastive"], section["anchor"])
    if not section["matryoshka"]:
        return loss
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

    full = student.get_embedding_dimension()
    if wide := [dim for dim in section["matryoshka"] if dim > full]:
        raise UserError(f"refine.matryoshka: {wide[0]} exceeds the {full} dimensions of the encoder.")
    return MatryoshkaLoss(student, loss, sorted({full, *section["matryoshka"]}, reverse=True))
