"""Stage 3: quality rules for whole lists, and one parquet data set of ranking lists with its card.

Shards are streamed, so memory use does not grow with their number. No model is loaded.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rankrefine import data_card, io
from rankrefine.consolidate.card import render
from rankrefine.consolidate.list_rules import list_problem
from rankrefine.errors import UserError
from rankrefine.progress import track
from rankrefine.provenance import Record
from rankrefine.ranking_lists.schema import SHARD
from rankrefine.ranking_lists.shards import declared
from rankrefine.text.rewrite_rules import Limits
from rankrefine.text.tally import Tally
from rankrefine.text.words import length

log = logging.getLogger(__name__)

ORIGIN = ("model", "revision", "prompt", "prompt_sha256")
TEXTS = dict.fromkeys((*ORIGIN, "sampling", "shard"), pa.string())
SCHEMA = pa.schema({"seed_id": pa.string(), "source": pa.string(), "sentences": pa.list_(pa.string()), **TEXTS})


def run(config: dict[str, Any], shards: Path, pool_stats: Path, output: Path, stats: Path, card: Path) -> None:
    """Drop low-quality lists and join the shards (stage 3).

    Args:
        config: Configuration with `consolidate` and the keys that declare the shards.
        shards: Folder with NAME.parquet and NAME.json of every shard.
        pool_stats: Record of the seed pool (JSON).
        output: Ranking lists to write (parquet).
        stats: Record to write (JSON): counts, and how the lists were made.
        card: Data set card to write (Markdown) into the folder of the lists.

    Raises:
        UserError: a shard is missing or corrupt, or no list is left.
    """
    record = Record("consolidate", config, "pyarrow")
    rules, names = config["consolidate"], declared(config)
    tally = Tally(examples=rules["examples"], length=None)
    sizes, words = Counter[int](), 0.0
    origins: dict[str, dict[str, Any]] = {}
    with io.atomic(output) as temporary:
        with pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
            for name, (_, rows) in track(names.items(), "consolidate", "shard {done} of {total}"):
                table, shard = _read(shards / f"{name}.parquet", rows), io.read_json(shards / f"{name}.json")
                columns = {key: shard[key] for key in ORIGIN}
                columns["sampling"] = json.dumps(shard["sampling"], sort_keys=True)
                origin = columns | {"prompt_text": shard.get("prompt_text"), "imported": shard.get("imported", False)}
                if "system_message" in shard:  # only of a model whose chat template has no system role
                    origin["system_message"] = shard["system_message"]
                origins.setdefault(json.dumps(origin, sort_keys=True), origin)
                columns["shard"] = name
                kept = list(_good(table, rules, tally))
                sizes.update(len(row["sentences"]) for row in kept)
                words += sum(length(sentence) for row in kept for sentence in row["sentences"])
                writer.write_table(pa.Table.from_pylist([row | columns for row in kept], SCHEMA))
        if not sizes:
            raise UserError(f"No ranking list is left ({tally}); loosen the rules in the section consolidate.")
    fields = _fields(tally, sizes, words) | {"made_by": list(origins.values())}
    fields["seeds"] = data_card.seeds(io.read_json(pool_stats))
    io.write_text(card, render(fields, output.name))
    io.write_json(stats, record.finish(**fields, shards=len(names)))
    log.info("consolidate: %s", tally)


def _read(file: Path, rows: int | None) -> pa.Table:
    """Read the first `rows` lists of a shard (None: all); a shard for a larger `seeds.count` has more."""
    table = io.read_table(file)
    if "sentences" not in table.column_names:
        raise UserError(f"{file} contains no ranking lists; set generate.recipe to ranking, or stop at generate.")
    io.check_schema(table, SHARD, file)
    if rows is None:
        return table
    if table.num_rows < rows:
        raise UserError(f"{file} has {table.num_rows} lists instead of {rows}; delete it and run again.")
    return table.slice(0, rows)


def _good(table: pa.Table, rules: dict[str, Any], tally: Tally) -> Iterator[dict[str, Any]]:
    """Yield the rows of a shard that pass every rule: seed_id, source, sentences."""
    repeats, limits = rules["collapse_repeats"], Limits(min_words=rules["min_words"], max_words=rules["max_words"])
    for row in table.select(["seed_id", "source", "sentences", "status"]).to_pylist():
        tally.read(row["source"])
        status, sentences = row.pop("status"), row["sentences"]
        reason = list_problem(sentences, repeats, limits) if status == "complete" else f"given up: {status}"
        if reason is None:
            yield row
        else:
            tally.drop(row["source"], reason, " → ".join(sentences))


def _fields(tally: Tally, sizes: Counter[int], words: float) -> dict[str, Any]:
    """Return the counts of the record; `sources` are the lists kept of each."""
    counts = tally.record()
    sentences = sum(size * count for size, count in sizes.items())
    return counts | {
        "list_sizes": {str(size): count for size, count in sorted(sizes.items())},
        "sources": {source: each["kept"] for source, each in sorted(counts["sources"].items()) if each["kept"]},
        "sentences": sentences,
        "mean_words": round(words / max(sentences, 1), 2),
    }
