"""Train the encoder on the ranking lists, with a frozen teacher: `python -m rankrefine refine`.

The step with the best development score is kept; step 0, the base encoder, counts.
"""

import logging
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.assets.manifest import load_manifest, write_manifest
from rankrefine.errors import UserError
from rankrefine.provenance import Record
from rankrefine.ranking_lists import teacher_embeddings as embeddings
from rankrefine.ranking_lists.lists import read as read_lists
from rankrefine.refine.train import Job, train
from rankrefine.training import distributed
from rankrefine.training.development import HELD_OUT_LISTS
from rankrefine.training.held_out import held_out
from rankrefine.training.work_folder import best_model, work_folder

log = logging.getLogger(__name__)
LIBRARIES = ("sentence-transformers", "transformers", "accelerate", "datasets", "torch")


def run(
    name: str,
    config: dict[str, Any],
    lists: Path,
    teacher_embeddings: list[Path],
    weights: list[float],
    model: Path,
    development: Path | None,
    report_to: list[str] | None,
    threads: int | None,
    code: list[str] | None,
    output: Path,
    manifest: Path,
    history: Path,
    processes: int = 1,
) -> None:
    """Train the encoder on the ranking lists; an interrupted training resumes from its checkpoint.

    Args:
        name: Name of the experiment.
        config: Configuration of the training (section refine).
        lists: Ranking lists (parquet) from consolidate.
        teacher_embeddings: Embeddings of the lists from teacher, one file for each teacher.
        weights: Weight of each teacher; they sum to 1.
        model: Manifest (JSON) of the base encoder.
        development: Manifest (JSON) of the development data; without it, every tenth list of three or more sentences
            is held out instead.
        report_to: Experiment trackers: tensorboard, wandb (default: none).
        threads: CPU threads (default: all).
        code: Code digests; checkpoints from different code are discarded (default: none).
        output: Model folder to write. A folder `.work` beside it exists during the training.
        manifest: Manifest (JSON) of the model to write.
        history: Training history (JSON) to write: losses, development scores and the step that was kept.
        processes: Number of processes that split each batch, usually one per GPU (default: 1).

    Raises:
        UserError: lists, embeddings, model or development data cannot be used, a tracker is not installed, memory or
            disk are too small, or the loss is not finite.
    """
    record = Record("refine", config, *LIBRARIES)
    if missing := [tracker for tracker in report_to or () if find_spec(tracker) is None]:
        raise UserError(f"refine.report_to: {missing[0]} is not installed; run: pip install {missing[0]}")
    ranking_lists, base = read_lists(lists), load_manifest(model)
    _check_processes(config["refine"], processes, len(ranking_lists.ids))
    data = load_manifest(development) if development else None
    held = [] if data else held_out(ranking_lists.sizes)
    source, revision = (data.source, data.revision) if data else (HELD_OUT_LISTS, "")
    mixed, teachers = embeddings.read_mixed(teacher_embeddings, weights, ranking_lists)
    provenance = {
        "base": {"model": base.source, "revision": base.revision},
        "teachers": teachers,
        "development_data": {"source": source, "revision": revision} | ({} if data else {"lists": len(held)}),
    }
    digests = {"lists": ranking_lists.digest, "embeddings": embeddings.digest(mixed), "code": code or []}
    inputs = record.inputs() | provenance | digests | {"processes": processes}
    with work_folder(output.with_name(".work"), inputs) as folder:
        job = Job(
            name=f"refine {name}/{config['seed']}",
            config=config,
            lists=ranking_lists,
            teacher_files=teacher_embeddings,
            weights=weights,
            base=base.path,
            development=data and data.path,
            held_out=held,
            threads=max(1, threads // processes) if threads else None,
            report_to=report_to,
            folder=folder,
        )
        if processes > 1:
            mixed = None  # each process reads the files itself, since tensors are not sent to it
        summary = distributed.launch(processes, train, job, mixed)
        with io.atomic(output) as temporary:
            shutil.copytree(best_model(folder, summary["best_step"]), temporary)
        write_manifest(manifest, source=f"refined:{name}/{config['seed']}", kind="model", path=output)
        counts = {"lists": len(ranking_lists.ids), "sentences": sum(ranking_lists.sizes)}
        fields = summary | {"name": name, "seed": config["seed"]} | provenance | counts
        io.write_json(history, record.finish(**fields))
    _log_result(summary)


def _check_processes(section: dict[str, Any], processes: int, lists: int) -> None:
    """Raise `UserError` if the processes cannot split a batch."""
    batch = section["batch_size"]
    if processes < 1:
        raise UserError(f"The number of processes ({processes}) must be at least 1.")
    if batch % processes:
        raise UserError(f"refine.batch_size ({batch}) must be a multiple of the number of processes ({processes}).")
    if section["contrastive"] and batch // processes < 2:
        raise UserError(
            f"refine.contrastive needs at least 2 lists per process, but refine.batch_size is {batch} for {processes} "
            "processes; raise it."
        )
    if processes > 1 and lists < batch:
        raise UserError(f"refine.batch_size ({batch}) exceeds the number of ranking lists ({lists}); lower it.")


def _log_result(summary: dict[str, Any]) -> None:
    best = summary["best_development"]
    if summary["improved"]:
        scores = (summary["base_development"], best, summary["best_step"])
        log.info("refine: development score %.2f -> %.2f; keeping step %d.", *scores)
    else:
        log.info("refine: no step improves the development score of %.2f; keeping the weights before training.", best)
