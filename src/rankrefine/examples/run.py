"""Filter training examples, from the shards of `synthesize` or from a file, into one parquet data set."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankrefine import data_card, io
from rankrefine.assets.manifest import load_manifest
from rankrefine.data_files import archives, splits, tables
from rankrefine.data_files.columns import anything, text
from rankrefine.errors import UserError, about
from rankrefine.examples.card import render
from rankrefine.examples.rules import ROLES, Rules, score_of
from rankrefine.progress import track
from rankrefine.provenance import Record
from rankrefine.ranking_lists.shards import shards as declared
from rankrefine.text.duplicates import Contamination
from rankrefine.text.rewrite_rules import Limits
from rankrefine.text.tally import Tally

log = logging.getLogger(__name__)

ORIGIN = ("model", "revision", "prompt", "prompt_sha256")
TEXTS = dict.fromkeys(("seed_id", "source", *ROLES, *ORIGIN, "sampling", "shard"), pa.string())
SCHEMA = pa.schema(TEXTS | {"score": pa.float32()})  # a score of imported examples
Row = dict[str, Any]


def run(
    config: dict[str, Any],
    shards: Path | None,
    data: Path | None,
    assets: list[Path],
    output: Path,
    stats: Path,
    pool_stats: Path | None = None,
    card: Path | None = None,
) -> None:
    """Filter training examples of the base encoder.

    Args:
        config: Configuration with `examples` and the keys of `seeds` about evaluation sets.
        shards: Folder with NAME.parquet and NAME.json of every shard, if the language model wrote the examples.
        data: Manifest (JSON) of the examples to import, in place of shards.
        assets: Manifests of the sets in `seeds.decontaminate`.
        output: Examples to write (parquet).
        stats: Record to write (JSON), with counts by reason and examples of what was dropped.
        pool_stats: Record of the seed pool (JSON), with `shards` (default: none).
        card: Data set card to write (Markdown), unless a scorer still chooses (default: none).

    Raises:
        UserError: a shard is missing or corrupt, the file is unreadable or lacks a column, or no example is left.
    """
    record = Record("examples", config, "pyarrow")
    section, seeds = config["examples"], config["seeds"]
    sets = [load_manifest(path) for path in assets]
    texts = tables.evaluation_texts(*(each.path for each in sets))
    contamination = Contamination(texts, seeds["overlap_ngram"], seeds["overlap_limit"])
    limits = Limits(min_words=section["min_words"], max_words=section["max_words"])
    rules, tally, made_by, kept = Rules(limits, contamination), Tally(), {}, []
    rows = _written(config, shards, made_by) if data is None else _imported(section, data, made_by)
    for row in track(rows, "examples", "{done} examples"):
        tally.read(row["source"])
        reason = row.pop("given_up", None) or rules.problem(row)
        if reason is None:
            kept.append(row)
        else:
            tally.drop(row["source"], reason, " | ".join(row.get(role) or "" for role in ROLES))
    if not kept:
        raise UserError(
            f"No training example is left ({tally}); loosen examples.min_words and max_words, or the recipe."
        )
    io.write_table(output, pa.Table.from_pylist(kept, SCHEMA))
    sources = data_card.seeds(io.read_json(pool_stats)) if pool_stats else {"sources": []}
    fields = tally.record() | {
        "negatives": sum(row.get("negative") is not None for row in kept),
        "made_by": list(made_by.values()),
        "seeds": sources | {"decontaminate": seeds["decontaminate"]},
        "assets": {each.source: each.revision for each in sets},
    }
    if card is not None:
        io.write_text(card, render(fields, SCHEMA.names, output.name))
    io.write_json(stats, record.finish(**fields))
    log.info("examples: %s", tally)


def _written(config: dict[str, Any], folder: Path | None, made_by: dict[str, Any]) -> Iterator[Row]:
    """Yield the drafts of all shards; collect how they were written, once each."""
    if folder is None:
        raise UserError("examples requires --shards or --data.")
    for name, (_, count) in declared(config["examples"]["count"], config["generate"]["shard_size"]).items():
        table, shard = io.read_table(folder / f"{name}.parquet"), io.read_json(folder / f"{name}.json")
        if table.num_rows < count:
            raise UserError(
                f"{folder / name}.parquet has {table.num_rows} rows instead of {count}; delete it and run again."
            )
        origin = {key: shard[key] for key in ORIGIN} | {"sampling": json.dumps(shard["sampling"], sort_keys=True)}
        made_by.setdefault(json.dumps(origin, sort_keys=True), origin | {"prompt_text": shard["prompt_text"]})
        for row in table.slice(0, count).to_pylist():
            reasons = dict(zip(shard["steps"], row["reasons"], strict=True))
            for roles in shard["examples"]:
                texts = {role: row[step] for role, step in roles.items()}
                reason = next((f"{step}: {reasons[step]}" for step in roles.values() if reasons.get(step)), None)
                ended = {"given_up": f"given up: {reason or row['status']}"} if None in texts.values() else {}
                yield {"seed_id": row["seed_id"], "source": row["source"], **texts, **origin, "shard": name, **ended}


def _imported(section: dict[str, Any], data: Path, made_by: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of a file; one whose score cannot be used is given up."""
    manifest, columns = load_manifest(data), dict(section["columns"])
    origin = {"model": manifest.source, "revision": manifest.revision}
    made_by["import"] = origin | {"imported": True}
    files = _files(manifest.path, section["member"])
    with about("examples.file"):
        types = {column: anything if role == "score" else text for role, column in columns.items()}
        values = tables.read(files, types, allow_missing=True)
    for each in zip(*(values[column] for column in columns.values()), strict=True):
        row = {"source": manifest.source, **dict(zip(columns, each, strict=True)), **origin}
        if "score" in columns:
            row["score"], reason = score_of(row["score"], section["score_range"])
            row |= {"given_up": reason} if reason else {}
        yield row


def _files(path: Path, member: str | None) -> list[Path]:
    """Return the files of the split train, or a file inside of a .zip."""
    with about("examples.file"):
        files = splits.files(path, "train")
    with about("examples.member"):
        if archives.is_archive(files[0]):
            return [archives.member(files[0], member)]
        if member is not None:
            raise UserError(f"{files[0]} is no .zip file; remove the name of a file inside of it.")
    return files
