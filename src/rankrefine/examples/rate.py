"""Rate training examples: the cosines of each anchor to its positive and negative, by a frozen encoder."""

import logging
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.encoders.counting import counting
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import open_encoder
from rankrefine.errors import UserError
from rankrefine.examples.ratings import RATED, SCHEMA
from rankrefine.provenance import Record

log = logging.getLogger(__name__)

ROLES = ("anchor", *RATED)


def run(config: dict[str, Any], examples: Path, model: Path, threads: int | None, output: Path, stats: Path) -> None:
    """Rate training examples with an encoder.

    Args:
        config: Configuration of the scorer (section examples).
        examples: Examples (parquet) from the command `examples`.
        model: Manifest (JSON) of the scorer.
        threads: CPU threads (default: all).
        output: Cosines to write (parquet), a row for each example; null for a missing negative.
        stats: Record to write (JSON).

    Raises:
        UserError: the scorer cannot be used, or its embeddings are not finite.
    """
    record = Record("rate", config, "sentence-transformers", "transformers", "torch")
    section, manifest, table = config["examples"], load_manifest(model), io.read_table(examples)
    encoder = open_encoder(manifest.path, section["scorer_pooling"], threads=threads)
    texts = {role: table[role].to_pylist() for role in ROLES}
    with counting(encoder, "rate", sum(len(set(column)) for column in texts.values())):
        vectors = {role: embed(encoder, [text or "" for text in texts[role]], section["max_length"]) for role in ROLES}
    if not all(vector.isfinite().all() for vector in vectors.values()):
        raise UserError(f"examples.scorer: {manifest.path} gives embeddings that are not finite; choose another one.")
    cosines = {role: (vectors["anchor"] * vectors[role]).sum(1).tolist() for role in RATED}
    columns = {
        role: [cosine if text else None for cosine, text in zip(cosines[role], texts[role], strict=True)]
        for role in RATED
    }
    io.write_table(output, pa.table(columns, schema=SCHEMA))
    io.write_json(stats, record.finish(scorer={"model": manifest.source, "revision": manifest.revision}))
    log.info("rate: %d examples by %s.", table.num_rows, manifest.source)
