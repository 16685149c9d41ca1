"""Columns of a shard of ranking lists."""

from __future__ import annotations

import pyarrow as pa

IMPORTED = "imported:"  # prefix of the model name of imported lists; their source follows
SHARD = pa.schema(
    [
        ("seed_id", pa.string()),
        ("source", pa.string()),
        ("sentences", pa.list_(pa.string())),  # the seed sentence, then its rewrites in order
        ("status", pa.string()),  # "complete", or the reason why the chain was given up
        ("redraws", pa.int32()),
        ("tokens", pa.int32()),
    ]
)
