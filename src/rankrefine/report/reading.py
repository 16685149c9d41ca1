"""Read records for the report: one, those of several shards together, and those of the base encoder's training."""

from collections import Counter
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.ranking_lists.shards import shards
from rankrefine.report.records import Base, Examples, Record

COUNTS = ("read", "kept", "dropped", "seconds")
TRAINED = (
    *("steps", "development", "base_development", "best_step", "best_development", "improved", "base", "examples"),
    *("guides", "config.base.objective", "config.base.data"),
)


def read_record(path: Path, *required: str) -> Record:
    """Read a stage's record; raise `UserError` if it is missing or lacks a required field (dotted if nested)."""
    found = io.read_json(path)
    for field in required:
        section = found
        for key in field.split("."):
            if not isinstance(section, dict) or key not in section:
                raise UserError(f"{path} has no '{field}', which the report needs; delete it and run again.")
            section = section[key]
    return found


def join_shards(records: list[Record]) -> Record:
    """Join the records of all shards: sums of numbers, and the distinct models, prompts and machines.

    Imported lists have neither tokens nor a prompt.
    """
    numbers = ("read", "kept", "tokens", "seconds")
    return {
        "shards": len(records),
        "imported": any(record.get("imported") for record in records),
        **{key: round(sum(record.get(key) or 0 for record in records), 2) for key in numbers},
        "dropped": dict(sum((Counter(record["dropped"]) for record in records), Counter())),
        "models": _distinct(records, "model", "revision"),
        "prompts": _distinct(records, "prompt", "prompt_sha256", "prompt_text"),
        "machines": _distinct(records, "device", "dtype"),
        "config": records[0].get("config", {}),
        "versions": records[0].get("versions", {}),
    }


def _distinct(records: list[Record], *keys: str) -> list[tuple[str, ...]]:
    """Return the distinct values of `keys` in order of appearance, with empty texts for missing fields."""
    values = dict.fromkeys(tuple(str(record.get(key) or "") for key in keys) for record in records)
    return [value for value in values if any(value)]


def read_base(config: dict[str, Any], folder: Path) -> Base | None:
    """Read the training of the base encoder from the results folder; None if the run does not train it.

    Raises:
        UserError: a file is missing or damaged, or lacks a field that the report needs.
    """
    if config["base"]["objective"] == "none":
        return None
    history = read_record(folder / "base" / "history.json", *TRAINED)
    return Base(history, _examples(config, folder) if config["examples"]["recipe"] != "none" else None)


def _examples(config: dict[str, Any], folder: Path) -> Examples:
    """Read records, first examples and scores."""
    filtered = read_record(folder / "examples" / "examples.json", *COUNTS, "made_by", "config.examples")
    jobs = {"examples": {"examples": filtered}}
    if config["examples"]["recipe"] != "import":
        names = shards(filtered["config"]["examples"]["count"], filtered["config"]["generate"]["shard_size"])
        paths = {f"synthesize/{name}": folder / "synthesize" / f"{name}.json" for name in names}
        jobs = {"synthesize": {name: read_record(path, *COUNTS) for name, path in paths.items()}} | jobs
    table, scores, scorer = "examples", {}, None
    if config["examples"]["scorer"]:
        table = "curated"
        rated = read_record(folder / "examples" / "ratings.json", "stage", "scorer", "seconds")
        scorer, name = rated["scorer"], rated["stage"]
        jobs[name] = {name: rated}
        jobs["curate"] = {"curate": read_record(folder / "examples" / "curated.json", *COUNTS)}
        ratings = io.read_table(folder / "examples" / "ratings.parquet")
        scores = {name: ratings[name].to_numpy() for name in ratings.column_names}
    rows = io.read_table(folder / "examples" / f"{table}.parquet").slice(0, config["report"]["examples"])
    return Examples(jobs, scorer, rows.to_pylist(), scores)
