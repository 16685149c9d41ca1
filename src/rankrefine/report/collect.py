"""Collect the records of all stages for the report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from rankrefine import io, score_table
from rankrefine.errors import UserError
from rankrefine.ranking_lists import lists as ranking_lists
from rankrefine.ranking_lists import teacher_embeddings
from rankrefine.ranking_lists.lists import Lists
from rankrefine.ranking_lists.shards import declared, folders
from rankrefine.report import target_order
from rankrefine.report.reading import COUNTS, join_shards, read_base, read_record
from rankrefine.report.records import Record, Records
from rankrefine.report.target_order import Agreement
from rankrefine.report.timings import stages
from rankrefine.score_table import Score

TeacherKey = tuple[str, str, str, str | None]  # model, revision, pooling, prompt
ORDERED_BY = ("target", "omega", "tau_teacher")  # keys of the section refine on which the targets depend
TRAINED = (
    *("steps", "development", "base_development", "best_step", "best_development", "improved", "base", "teachers"),
    *("development_data", *(f"config.refine.{key}" for key in (*ORDERED_BY, "loss", "tau"))),
)


def collect(config: dict[str, Any], folder: Path, teacher: Path) -> Records:
    """Read the records from the results folder; of the shards only those that the configuration declares.

    Raises:
        UserError: a file is missing or damaged, or lacks a field that the report needs.
    """
    pool_folder, shard_folder = (folder / name for name in folders(config))
    shards = {name: read_record(shard_folder / f"{name}.json", *COUNTS) for name in declared(config)}
    pool = read_record(pool_folder / "pool.json", *COUNTS)
    written = {name: read_record(folder / "write" / f"{name}.json", *COUNTS) for name in pool.get("shards", [])}
    consolidate = read_record(folder / "consolidate" / "lists.json", *COUNTS)
    selection = read_record(folder / "selection.json", "chosen", "candidates")
    trained = [f"{candidate['name']}/{candidate['seed']}" for candidate in selection["candidates"]]
    histories = {name: read_record(folder / "refine" / name / "history.json", *TRAINED) for name in trained}
    scores = score_table.read(folder / "scores.csv")
    similarity = read_record(teacher / "similarity.json", "by_rank", "seconds")
    lists = ranking_lists.read(folder / "consolidate" / "lists.parquet")
    embeddings, _ = teacher_embeddings.read(teacher / "embeddings.safetensors", lists)
    teachers = _teachers(folder, histories)
    budget, list_jobs = _origin(config, pool, shards)
    base = read_base(config, folder)
    is_prepared = histories[selection["chosen"]]["base"]["model"].startswith("base:")
    jobs = {
        "write": {f"write/{name}": record for name, record in written.items()},
        **list_jobs,
        "consolidate": {"consolidate": consolidate},
        **(base.examples.jobs if base and base.examples else {}),
        "base": {"base": read_record(folder / "base" / "history.json")} if is_prepared else {},
        "teacher": {name: read_record(folder / name / "similarity.json") for name in sorted(set(teachers.values()))},
        "refine": {f"refine/{name}": record for name, record in histories.items()},
        "evaluate": _evaluations(folder, scores, trained),
    }
    return Records(
        budget=budget,
        confidence=config["evaluate"]["confidence"],
        written=join_shards(list(written.values())) if written else None,
        seeds=pool,
        generate=join_shards(list(shards.values())),
        consolidate=consolidate,
        similarity=similarity,
        ideal=target_order.ideal(embeddings),
        agreements=_agreements(folder, histories, teachers, lists, embeddings),
        histories=histories,
        base=base,
        scores=scores,
        selection=selection,
        overlap=_overlaps(folder, scores),
        stages=stages(jobs, folder / "benchmarks"),
        examples=_examples(lists, embeddings, config["report"]["examples"]),
    )


def _origin(config: dict[str, Any], pool: Record, shards: dict[str, Record]) -> tuple[Record, dict[str, Any]]:
    """Return the config keys that declare the shards (none for imported lists), and the jobs that made the lists."""
    if config["lists"]["source"] == "import":
        return {}, {"import_lists": {"import_lists": pool}}
    count, size = config["seeds"]["count"], config["generate"]["shard_size"]
    jobs = {"seeds": {"seeds": pool}, "generate": {f"generate/{name}": record for name, record in shards.items()}}
    return {"seeds": {"count": count}, "generate": {"shard_size": size}}, jobs


def _evaluations(folder: Path, scores: list[Score], trained: list[str]) -> dict[str, Record]:
    """Return the evaluations behind the score table; averages over tasks have no file."""
    models = dict.fromkeys([row.model for row in scores] + trained)
    names = dict.fromkeys(f"evaluate/{model}/{row.task}" for model in models for row in scores)
    return {name: io.read_json(path) for name in names if (path := folder / f"{name}.json").is_file()}


def _overlaps(folder: Path, scores: list[Score]) -> list[Record]:
    """Return the overlap with the seed sentences of each task that was checked."""
    paths = [folder / "overlap" / f"{task}.json" for task in dict.fromkeys(row.task for row in scores)]
    return [read_record(path, "task", "decontaminated", "warning", "found") for path in paths if path.is_file()]


def _teachers(folder: Path, histories: dict[str, Record]) -> dict[TeacherKey, str]:
    """Return the folder, relative to the results, of each teacher in the trainings; raise `UserError` without one."""
    paths = sorted(folder.glob("teacher/*/similarity.json"))
    available = {_key(read_record(path, "teacher")["teacher"]): f"teacher/{path.parent.name}" for path in paths}
    needed = [_key(teacher) for record in histories.values() for teacher in record["teachers"]]
    if missing := [key for key in needed if key not in available]:
        model, revision, *_ = missing[0]
        raise UserError(f"{folder / 'teacher'} has no embeddings of the teacher {model} ({revision}); run teacher.")
    return {key: available[key] for key in needed}


def _key(teacher: Record) -> TeacherKey:
    """Return the identity of a teacher: one encoder is several with different poolings or prompts."""
    pooling, prompt = teacher.get("teacher_pooling") or "model", teacher.get("teacher_prompt")
    return teacher.get("model", ""), teacher.get("revision", ""), pooling, prompt


def _agreements(
    folder: Path, histories: dict[str, Record], teachers: dict[TeacherKey, str], lists: Lists, shown: list[Tensor]
) -> list[Agreement]:
    """Return the agreement of each experiment's targets; equal targets are counted once.

    The last one is of the shown teacher alone, unless an experiment has that target.
    """
    computed: dict[str, Agreement] = {}  # by all that the targets depend on
    agreements: dict[str, Agreement] = {}
    for name, record in histories.items():
        config, experiment = record["config"]["refine"], name.rpartition("/")[0]
        key = repr([*(config[key] for key in ORDERED_BY), record["teachers"]])
        if key not in computed:
            paths = [folder / teachers[_key(each)] / "embeddings.safetensors" for each in record["teachers"]]
            mixed, _ = teacher_embeddings.read_mixed(paths, [each["weight"] for each in record["teachers"]], lists)
            computed[key] = target_order.agreement(experiment, config, mixed)
        agreements.setdefault(experiment, replace(computed[key], name=experiment))
    if any(agreement.target == "teacher" for agreement in agreements.values()):
        return list(agreements.values())
    return [*agreements.values(), target_order.reference(shown)]


def _examples(lists: Lists, embeddings: list[Tensor], count: int) -> list[list[tuple[str, float]]]:
    """Return the first lists, whose order is random, with the teacher's cosines to the seed sentence."""
    pairs = zip(lists.sentences[:count], embeddings[:count], strict=True)
    return [list(zip(sentences, (rows @ rows[0]).tolist(), strict=True)) for sentences, rows in pairs]
