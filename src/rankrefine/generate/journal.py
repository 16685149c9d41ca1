"""Finished blocks of a shard, kept on disk until the shard is complete: a killed job loses only its current block.

A block is used again only if all its inputs are unchanged: seed sentences, settings, model, code, versions, device.
"""

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rankrefine import io

log = logging.getLogger(__name__)
INPUTS, STATISTICS = b"inputs", b"statistics"


class Journal:
    """One parquet file per finished block in `folder`; `inputs` (JSON values) determine the output of all blocks."""

    def __init__(self, folder: Path, inputs: Any, schema: pa.Schema) -> None:
        self.folder = folder
        self._inputs = json.dumps(inputs, sort_keys=True)
        self._schema = schema

    def read(self, block: int, seeds: pa.Table) -> tuple[pa.Table, dict[str, Any]] | None:
        """Return rows and statistics of a block; None if it is missing, damaged, or has other inputs."""
        try:
            table = pq.ParquetFile(self._path(block)).read()
            metadata = table.schema.metadata
            if metadata[INPUTS] != self._digest(seeds):
                log.info("%s was generated with different inputs; regenerating.", self._path(block))
                return None
            # parquet renames the items of lists; a shard made of old and new blocks must have the same bytes
            return table.cast(self._schema), json.loads(metadata[STATISTICS])
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
            log.warning("%s is damaged; regenerating.", self._path(block))
            return None

    def write(self, block: int, seeds: pa.Table, table: pa.Table, statistics: dict[str, Any]) -> None:
        """Keep a finished block."""
        metadata = {INPUTS: self._digest(seeds), STATISTICS: json.dumps(statistics).encode()}
        io.write_table(self._path(block), table.replace_schema_metadata(metadata))

    def remove(self) -> None:
        """Delete all blocks, once the shard has been written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, block: int) -> Path:
        return self.folder / f"{block:05d}.parquet"

    def _digest(self, seeds: pa.Table) -> bytes:
        rows = json.dumps(seeds.to_pylist(), sort_keys=True)
        return hashlib.sha256(f"{self._inputs}\0{rows}".encode()).hexdigest().encode()
