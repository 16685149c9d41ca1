"""What the report shows, collected from the records of all stages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.ranking_lists import lists as ranking_lists
from rankrefine.ranking_lists import teacher_embeddings as embeddings
from rankrefine.ranking_lists.lists import Lists
from rankrefine.ranking_lists.shards import declared, folders
from rankrefine.report import order, table, timings
from rankrefine.report.order import Agreement
from rankrefine.report.table import Score
from rankrefine.report.timings import Stage

Record = dict[str, Any]
Teacher = tuple[str, str, str, str | None]  # model, revision, pooling, prompt
COUNTS = ("read", "kept", "dropped", "seconds")
TRAINED = ("steps", "development", "base_development", "best_step", "best_development", "improved", "teachers")
ORDERED_BY = ("target", "omega", "tau_teacher")


@dataclass(frozen=True)
class Found:
    """The records of a run.

    Attributes:
        budget: `seeds.count` and `generate.shard_size`, which no stage's data depend on alone; not of imported lists.
        confidence: level of the intervals in the score table.
        seeds: record of the seed pool.
        generate: records of the shards, summed up by `join_shards`.
        consolidate: record of the ranking lists.
        similarity: record of the teacher that is shown.
        ideal: mean cosine to the seed by rank if every list were in perfect order.
        agreements: how the targets of each experiment stand between the two orders.
        histories: record of each training, by EXPERIMENT/SEED.
        scores: rows of the score table.
        selection: which encoder was exported, and why.
        overlap: for each task how many seed sentences its text holds, where that was looked at.
        stages: what each stage took.
        examples: ranking lists as (sentence, teacher cosine to the seed) pairs.
    """

    budget: Record
    confidence: float
    seeds: Record
    generate: Record
    consolidate: Record
    similarity: Record
    ideal: list[float]
    agreements: list[Agreement]
    histories: dict[str, Record]
    scores: list[Score]
    selection: Record
    overlap: list[Record]
    stages: list[Stage]
    examples: list[list[tuple[str, float]]]

    @property
    def history(self) -> Record:
        """Of the training whose encoder was exported."""
        return self.histories[self.selection["chosen"]]

    @property
    def experiments(self) -> list[str]:
        """Names, in the order of the candidates."""
        return list(dict.fromkeys(candidate["name"] for candidate in self.selection["candidates"]))

    @property
    def chosen(self) -> str:
        """The experiment whose encoder was exported."""
        return self.selection["chosen"].rpartition("/")[0]

    @property
    def imported(self) -> bool:
        """Whether the lists existed already, so that no language model wrote them here."""
        return any(model.startswith(timings.IMPORTED) for model, _ in self.generate["models"])

    def seeds_of(self, experiment: str) -> list[Record]:
        """Histories of an experiment, one for each seed."""
        return [record for name, record in self.histories.items() if name.rpartition("/")[0] == experiment]


def collect(config: dict[str, Any], folder: Path, teacher: Path) -> Found:
    """Read everything from the results folder; of the shards only those that the configuration declares.

    Raises:
        UserError: a file is missing or damaged, or lacks a field that the report needs.
    """
    pool, made = (folder / name for name in folders(config))
    parts = {name: _record(made / f"{name}.json", *COUNTS) for name in declared(config)}
    selection = _record(folder / "selection.json", "chosen", "candidates")
    trained = [f"{candidate['name']}/{candidate['seed']}" for candidate in selection["candidates"]]
    histories = {name: _record(folder / "refine" / name / "history.json", *TRAINED) for name in trained}
    lists = ranking_lists.read(folder / "consolidate" / "lists.parquet")
    opinion, _ = embeddings.read(teacher / "embeddings.safetensors", lists)
    records = {
        "similarity": _record(teacher / "similarity.json", "by_rank", "seconds"),
        "seeds": _record(pool / "pool.json", *COUNTS),
        "consolidate": _record(folder / "consolidate" / "lists.json", *COUNTS),
    }
    teachers = _teachers(folder, histories)
    scores = table.read(folder / "scores.csv")
    return Found(
        budget=_budget(config),
        confidence=config["evaluate"]["confidence"],
        generate=join_shards(list(parts.values())),
        ideal=order.ideal(opinion),
        agreements=_agreements(folder, histories, teachers, lists, opinion),
        histories=histories,
        scores=scores,
        selection=selection,
        overlap=_overlaps(folder, scores),
        stages=timings.stages(
            records["seeds"],
            parts,
            records["consolidate"],
            _base(folder, histories[selection["chosen"]]),
            {slug: _record(folder / "teacher" / slug / "similarity.json") for slug in sorted(set(teachers.values()))},
            histories,
            _evaluations(folder, scores, trained),
            folder / "benchmarks",
        ),
        examples=_examples(lists, opinion, config["report"]["examples"]),
        **records,
    )


def _budget(config: dict[str, Any]) -> Record:
    """The settings that declare the shards; imported lists are all taken."""
    if config["lists"]["source"] == "import":
        return {}
    return {"seeds": {"count": config["seeds"]["count"]}, "generate": {"shard_size": config["generate"]["shard_size"]}}


def join_shards(records: list[Record]) -> Record:
    """One record for all shards: numbers summed; what made them as lists of the distinct values.

    Shards that different machines made then show as several. Imported lists have neither tokens nor a prompt.
    """
    joined: Record = {"shards": len(records)}
    for key in ("read", "kept", "tokens", "redraws", "seconds"):
        joined[key] = round(sum(record.get(key) or 0 for record in records), 2)
    joined["dropped"] = dict(sum((Counter(record["dropped"]) for record in records), Counter()))
    joined["models"] = _distinct(records, "model", "revision")
    joined["prompts"] = [named for named in _distinct(records, "prompt", "prompt_sha256", "prompt_text") if any(named)]
    joined["machines"] = [named for named in _distinct(records, "device", "dtype") if any(named)]
    return joined | {"config": records[0].get("config", {}), "versions": records[0].get("versions", {})}


def _distinct(records: list[Record], *keys: str) -> list[tuple[str, ...]]:
    """The distinct values of `keys`, in order of appearance; what a record lacks is empty."""
    return list(dict.fromkeys(tuple(str(record.get(key) or "") for key in keys) for record in records))


def _record(path: Path, *needed: str) -> Record:
    """A stage's record.

    Raises:
        UserError: it is missing, or lacks one of the `needed` fields.
    """
    record = io.read_json(path)
    missing = [key for key in needed if not isinstance(record, dict) or key not in record]
    if missing:
        raise UserError(f"{path} has no '{missing[0]}', which the report needs; delete it and run again.")
    return record


def _teachers(folder: Path, histories: dict[str, Record]) -> dict[Teacher, str]:
    """The folder below `teacher` of each teacher that a training names, by what tells them apart.

    Raises:
        UserError: one is nowhere.
    """
    there = {}
    for path in sorted(folder.glob("teacher/*/similarity.json")):
        named = _record(path, "teacher")["teacher"]
        there[_opened(named)] = path.parent.name
    wanted = [_opened(teacher) for record in histories.values() for teacher in record["teachers"]]
    for named in wanted:
        if named not in there:
            raise UserError(
                f"{folder / 'teacher'} has no embeddings of the teacher {named[0]} ({named[1]}); run teacher."
            )
    return {named: there[named] for named in wanted}


def _opened(teacher: Record) -> Teacher:
    """What tells teachers apart: one encoder may be two of them, with other poolings or prompts."""
    pooling, prompt = teacher.get("teacher_pooling") or "model", teacher.get("teacher_prompt")
    return teacher.get("model", ""), teacher.get("revision", ""), pooling, prompt


def _agreements(
    folder: Path,
    histories: dict[str, Record],
    teachers: dict[Teacher, str],
    lists: Lists,
    shown: list[Tensor],
) -> list[Agreement]:
    """How the targets of each experiment stand between the two orders; those of equal settings are counted once.

    The last one is of the shown teacher alone, unless an experiment is trained by that rule.

    Raises:
        UserError: a history does not say by which rule it was trained.
    """
    known: dict[str, Agreement] = {}  # by settings
    found: dict[str, Agreement] = {}
    for name, record in histories.items():
        settings, experiment = record.get("config", {}).get("refine", {}), name.rpartition("/")[0]
        if missing := [key for key in ORDERED_BY if key not in settings]:
            path = folder / "refine" / name / "history.json"
            raise UserError(f"{path} has no 'config.refine.{missing[0]}', which the report needs; run refine again.")
        key = repr([*(settings[key] for key in ORDERED_BY), record["teachers"]])
        if key not in known:
            slugs = [teachers[_opened(teacher)] for teacher in record["teachers"]]
            read = [embeddings.read(folder / "teacher" / slug / "embeddings.safetensors", lists)[0] for slug in slugs]
            mixed = embeddings.mix(read, [teacher["weight"] for teacher in record["teachers"]])
            known[key] = order.agreement(experiment, settings, mixed)
        found.setdefault(experiment, replace(known[key], name=experiment))
    alone = [] if any(one.rule == "teacher" for one in found.values()) else [order.reference(shown)]
    return [*found.values(), *alone]


def _base(folder: Path, history: Record) -> Record | None:
    """Record of the job that made the encoder to refine, if one did."""
    made = str((history.get("base") or {}).get("model", "")).startswith("base:")
    return _record(folder / "base" / "history.json") if made else None


def _evaluations(folder: Path, scores: list[Score], trained: list[str]) -> dict[str, Record]:
    """Records of the evaluations behind the score table, by MODEL/TASK."""
    models = list(dict.fromkeys([row.model for row in scores] + trained))
    names = dict.fromkeys(f"{model}/{row.task}" for model in models for row in scores)
    paths = {name: folder / "evaluate" / f"{name}.json" for name in names}
    return {name: io.read_json(path) for name, path in paths.items() if path.is_file()}  # averages are no files


def _overlaps(folder: Path, scores: list[Score]) -> list[Record]:
    """For each task of the score table how many seeds are in its text, where that was looked at."""
    paths = [folder / "overlap" / f"{task}.json" for task in dict.fromkeys(row.task for row in scores)]
    return [_record(path, "task", "decontaminated", "found") for path in paths if path.is_file()]


def _examples(lists: Lists, teacher: list[Tensor], count: int) -> list[list[tuple[str, float]]]:
    """The first lists, whose order is random by hash, with the teacher's cosine of each sentence to the seed."""
    pairs = zip(lists.sentences, teacher, strict=True)
    return [list(zip(sentences, (rows @ rows[0]).tolist(), strict=True)) for sentences, rows in islice(pairs, count)]
