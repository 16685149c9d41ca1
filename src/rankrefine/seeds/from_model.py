"""Sentences that the language model wrote itself, from the shards of `write`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.ranking_lists.shards import shards as declared

FIELDS = ("model", "revision", "prompt", "prompt_sha256", "sampling", "prompt_text")

Shards = dict[Path, int]  # files without their extension -> number of requests to use; the last shard may have more


def shards(folder: Path | None, requests: int | None, size: int | None) -> Shards:
    """Return the shards of `requests` requests, `size` in each but the last; none if there is no folder.

    Raises:
        UserError: the folder is given alone.
    """
    if folder is None:
        return {}
    if requests is None or size is None:
        raise UserError("--written requires --requests and --shard-size.")
    return {folder / name: count for name, (_, count) in declared(requests, size).items()}


def sentences(shards: Shards) -> Iterator[tuple[str, str]]:
    """Yield genre and text of each sentence.

    Raises:
        UserError: a shard is missing, corrupt or too small.
    """
    for path, count in shards.items():
        table = io.read_table(path.with_name(f"{path.name}.parquet"))
        if table.num_rows < count:
            raise UserError(f"{path}.parquet has {table.num_rows} rows instead of {count}; delete it and run again.")
        for row in table.select(["source", "sentences"]).slice(0, count).to_pylist():
            yield from ((row["source"], sentence) for sentence in row["sentences"])


def made_by(shards: Shards) -> list[dict[str, Any]]:
    """Return the model, recipe and sampling of the shards, each combination once.

    Raises:
        UserError: a record is missing or corrupt.
    """
    records = (io.read_json(path.with_name(f"{path.name}.json")) for path in shards)
    origins = ({name: record[name] for name in FIELDS} for record in records)
    return list({json.dumps(origin, sort_keys=True): origin for origin in origins}.values())
