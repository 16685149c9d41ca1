"""Stage 3, `python -m rankrefine consolidate`: quality rules, and one parquet data set of ranking lists with its card.

Streams shard by shard, so memory does not grow with their number; loads no model.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from rankrefine import io
from rankrefine.consolidate.card import card as render
from rankrefine.consolidate.rules import list_problem
from rankrefine.errors import UserError
from rankrefine.provenance import Record
from rankrefine.ranking_lists.schema import SHARD
from rankrefine.ranking_lists.shards import declared
from rankrefine.text.rewrite_rules import Limits

log = logging.getLogger(__name__)

ORIGIN = ("model", "revision", "prompt", "prompt_sha256", "sampling")
_MADE_BY = [(key, pa.string()) for key in (*ORIGIN, "shard")]
SCHEMA = pa.schema(
    [("seed_id", pa.string()), ("source", pa.string()), ("sentences", pa.list_(pa.string())), *_MADE_BY]
)


def run(config: dict[str, Any], shards: Path, pool_stats: Path, output: Path, stats: Path, card: Path) -> None:
    """Join the shards that the configuration declares, without the lists that break a quality rule.

    Args:
        shards: folder with NAME.parquet and NAME.json for every shard of `rankrefine.shards.declared`.
        pool_stats: record of the seed sentences.
        output: the lists (parquet).
        stats: the stage record: counts, and what made the lists.
        card: Markdown to write beside `output`: with it, the folder opens as a data set.

    Raises:
        UserError: a shard is missing or corrupt, or no list is left.
    """
    names = declared(config)
    rules = config["consolidate"]
    record = Record("consolidate", {"consolidate": rules}, "pyarrow")
    tally = _Tally(examples=rules["examples"])
    origins: dict[str, dict[str, Any]] = {}
    with io.atomic(output) as aside:
        with pq.ParquetWriter(aside, SCHEMA, compression="zstd") as writer:
            for name, (_, rows) in tqdm(names.items(), desc="consolidate", unit="shard", disable=None):
                table = _read(shards / f"{name}.parquet", rows)
                shard = io.read_json(shards / f"{name}.json")
                made_by = _made_by(shard, name)
                origin = {key: made_by[key] for key in ORIGIN} | {"prompt_text": shard.get("prompt_text")}
                origins.setdefault(json.dumps(origin, sort_keys=True), origin)
                writer.write_table(_keep(table, made_by, rules, tally))
        if not tally.kept:
            raise UserError(f"No ranking list of {tally.read} is left (dropped: {dict(tally.dropped)}).")
    fields = tally.report() | {"made_by": list(origins.values()), "seeds": _seeds(io.read_json(pool_stats))}
    io.write_text(card, render(fields, output.name))
    io.write_json(stats, record.finish(**fields, shards=len(names)))
    log.info("consolidate: %d of %d lists kept", tally.kept, tally.read)


def _read(file: Path, rows: int | None) -> pa.Table:
    """The first `rows` lists of a shard (None: all); one that was made for a larger budget holds more."""
    table = io.read_table(file, SHARD)
    if rows is None:
        return table
    if table.num_rows < rows:
        raise UserError(f"{file} holds {table.num_rows} lists but must hold {rows}; delete it and run again.")
    return table.slice(0, rows)


class _Tally:
    """Counts of lists read, kept and dropped by reason; sizes and lengths of those kept; examples of the dropped."""

    def __init__(self, examples: int) -> None:
        self.read = self.kept = self.words = 0
        self.dropped: Counter[str] = Counter()
        self.examples: dict[str, list[list[str]]] = {}
        self.sizes: Counter[int] = Counter()
        self.sources: Counter[str] = Counter()
        self._wanted = examples

    def drop(self, reason: str, sentences: list[str]) -> None:
        self.dropped[reason] += 1
        kept = self.examples.setdefault(reason, [])
        if len(kept) < self._wanted:
            kept.append(sentences)

    def keep(self, sentences: list[str], source: str) -> None:
        self.kept += 1
        self.sources[source] += 1
        self.sizes[len(sentences)] += 1
        self.words += sum(len(sentence.split()) for sentence in sentences)

    def report(self) -> dict[str, Any]:
        sentences = sum(size * count for size, count in self.sizes.items())
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
            "examples": {reason: [" → ".join(found) for found in lists] for reason, lists in self.examples.items()},
            "list_sizes": {str(size): count for size, count in sorted(self.sizes.items())},
            "sources": dict(sorted(self.sources.items())),
            "sentences": sentences,
            "mean_words": round(self.words / max(sentences, 1), 2),
        }


def _seeds(pool: dict[str, Any]) -> dict[str, Any]:
    """Where the seed sentences come from, with revisions, and what they were kept apart from; nothing of the config
    that says how they were filtered.
    """
    section, revisions = pool["config"]["seeds"], pool.get("assets", {})
    sources = [
        {key: each[key] for key in ("name", "source")} | {"revision": revisions.get(each["source"])}
        for each in section.get("sources", [])  # imported lists have none
    ]
    return {"sources": sources, "decontaminate": section["decontaminate"]}


def _made_by(record: dict[str, Any], shard: str) -> dict[str, str | None]:
    """The columns that say what made a shard's lists."""
    fields = {key: record[key] for key in ("model", "revision", "prompt", "prompt_sha256")}
    return {**fields, "sampling": json.dumps(record["sampling"], sort_keys=True), "shard": shard}


def _keep(table: pa.Table, made_by: dict[str, str | None], rules: dict[str, Any], tally: _Tally) -> pa.Table:
    """The rows of a shard that pass every rule, with provenance."""
    limits = Limits(min_words=rules["min_words"], max_words=rules["max_words"])
    kept = []
    for row in table.select(["seed_id", "source", "sentences", "status"]).to_pylist():
        tally.read += 1
        status = row.pop("status")
        if status == "complete":
            reason = list_problem(row["sentences"], rules["collapse_repeats"], limits)
        else:
            reason = f"given up: {status}"
        if reason is None:
            tally.keep(row["sentences"], row["source"])
            kept.append(row | made_by)
        else:
            tally.drop(reason, row["sentences"])
    return pa.Table.from_pylist(kept, schema=SCHEMA)
