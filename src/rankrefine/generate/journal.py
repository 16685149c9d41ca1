"""Finished blocks of a shard, kept on disk until the shard is whole.

A killed job loses the block that it was at, no more. A block is used again only if everything that decides its bytes
is as it was: its seed sentences, settings, model, code, versions, device.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rankrefine import io
from rankrefine.ranking_lists.schema import SHARD

log = logging.getLogger(__name__)
MADE_BY, STATISTICS = b"made_by", b"statistics"


class Journal:
    """One parquet file per finished block in `folder`, which exists only while the shard is not whole.

    Args:
        made_by: everything that all blocks of the shard depend on; JSON values.
    """

    def __init__(self, folder: Path, made_by: Any) -> None:
        self.folder = folder
        self._made_by = json.dumps(made_by, sort_keys=True)

    def read(self, block: int, seeds: pa.Table) -> tuple[pa.Table, dict[str, Any]] | None:
        """Lists and statistics of a block, or None if it is not there, damaged, or made otherwise."""
        try:
            table = pq.ParquetFile(self._path(block)).read()
            notes = table.schema.metadata
            if notes[MADE_BY] != self._digest(seeds):
                log.info("%s was made with other settings; it is made again.", self._path(block))
                return None
            # parquet renames the items of lists; a shard made of old and new blocks must have the same bytes
            return table.cast(SHARD), json.loads(notes[STATISTICS])
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
            log.warning("%s is damaged; it is made again.", self._path(block))
            return None

    def write(self, block: int, seeds: pa.Table, table: pa.Table, statistics: dict[str, Any]) -> None:
        """Keep a finished block."""
        notes = {MADE_BY: self._digest(seeds), STATISTICS: json.dumps(statistics).encode()}
        io.write_table(self._path(block), table.replace_schema_metadata(notes))

    def remove(self) -> None:
        """Forget all blocks: the shard has been written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, block: int) -> Path:
        return self.folder / f"{block:05d}.parquet"

    def _digest(self, seeds: pa.Table) -> bytes:
        rows = json.dumps(seeds.to_pylist(), sort_keys=True)
        return hashlib.sha256(f"{self._made_by}\0{rows}".encode()).hexdigest().encode()
