"""Columns of a shard of ranking lists."""

from __future__ import annotations

import pyarrow as pa

SHARD = pa.schema(
    [
        ("seed_id", pa.string()),
        ("source", pa.string()),
        ("sentences", pa.list_(pa.string())),  # the seed sentence first, then the rewrites in order
        ("status", pa.string()),  # "complete", or why the chain was given up
        ("redraws", pa.int32()),
        ("tokens", pa.int32()),
    ]
)
