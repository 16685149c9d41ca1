"""What the report shows, collected from the records of all stages."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.refine import embeddings
from rankrefine.refine import lists as ranking_lists
from rankrefine.shards import shards

SCORE_COLUMNS = ("model", "task", "metric", "value", "ci_low", "ci_high")
Record = dict[str, Any]


@dataclass(frozen=True)
class Score:
    """A row of scores.csv, x100."""

    model: str
    task: str
    metric: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Found:
    """The records of a run.

    Attributes:
        budget: `seeds.count` and `generate.shard_size`, which no stage's data depend on alone.
        seeds: record of the seed pool.
        generate: records of the shards, summed up by `join_shards`.
        consolidate: record of the ranking lists.
        similarity: record of the teacher.
        history: record of the training.
        scores: rows of the score table.
        selection: which encoder was exported, and why.
        examples: ranking lists as (sentence, teacher cosine to the seed) pairs.
    """

    budget: Record
    seeds: Record
    generate: Record
    consolidate: Record
    similarity: Record
    history: Record
    scores: list[Score]
    selection: Record
    examples: list[list[tuple[str, float]]]


def collect(config: dict[str, Any], folder: Path, teacher: Path) -> Found:
    """Read everything from the results folder; of the shards only those that the configuration declares.

    Raises:
        UserError: a file is missing or damaged, or lacks a field that the report needs.
    """
    count, size = config["seeds"]["count"], config["generate"]["shard_size"]
    names = shards(count, size)
    counts = ("read", "kept", "dropped", "seconds")
    selection = _record(folder / "selection.json", "chosen", "candidates")
    trained = folder / "refine" / selection["chosen"]
    return Found(
        budget={"seeds": {"count": count}, "generate": {"shard_size": size}},
        seeds=_record(folder / "seeds" / "pool.json", *counts),
        generate=join_shards(
            [_record(folder / "generate" / f"{name}.json", *counts, "tokens", "prompt_text") for name in names]
        ),
        consolidate=_record(folder / "consolidate" / "lists.json", *counts),
        similarity=_record(teacher / "similarity.json", "by_rank", "seconds"),
        history=_record(trained / "history.json", "steps", "development", "base_development", "best_step", "seconds"),
        scores=_scores(folder / "scores.csv"),
        selection=selection,
        examples=_examples(folder, teacher, config["report"]["examples"]),
    )


def join_shards(records: list[Record]) -> Record:
    """One record for all shards: numbers summed; what made them as lists of the distinct values.

    Shards that different machines made then show as several.
    """
    joined: Record = {"shards": len(records)}
    for key in ("read", "kept", "tokens", "redraws", "seconds"):
        joined[key] = round(sum(record.get(key, 0) for record in records), 2)
    joined["dropped"] = dict(sum((Counter(record["dropped"]) for record in records), Counter()))
    joined["models"] = _distinct(records, "model", "revision")
    joined["prompts"] = _distinct(records, "prompt", "prompt_sha256", "prompt_text")
    joined["machines"] = _distinct(records, "device", "dtype")
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


def _scores(path: Path) -> list[Score]:
    """The rows of the score table.

    Raises:
        UserError: there is no such file, or it has other columns.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        texts, numbers = SCORE_COLUMNS[:3], SCORE_COLUMNS[3:]
        return [Score(*(row[key] for key in texts), *(float(row[key]) for key in numbers)) for row in rows]
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} is not a score table ({', '.join(SCORE_COLUMNS)}); delete it and run again."
        ) from error


def _examples(folder: Path, teacher: Path, count: int) -> list[list[tuple[str, float]]]:
    """The first lists with the teacher's cosine of each sentence to the seed; their order is random by hash already.

    Raises:
        UserError: lists or embeddings are missing or damaged, or do not belong together.
    """
    lists = ranking_lists.read(folder / "consolidate" / "lists.parquet")
    vectors, _ = embeddings.read(teacher / "embeddings.safetensors", lists)
    pairs = zip(lists.sentences, vectors, strict=True)
    return [list(zip(sentences, (rows @ rows[0]).tolist(), strict=True)) for sentences, rows in islice(pairs, count)]
