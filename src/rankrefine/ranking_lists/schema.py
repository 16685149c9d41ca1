"""Columns of a shard of ranking lists."""

import pyarrow as pa

SHARD = pa.schema(
    [
        ("seed_id", pa.string()),
        ("source", pa.string()),
        ("sentences", pa.list_(pa.string())),  # the seed sentence first, then the rewrites in order
        ("status", pa.string()),  # "complete", or the reason why the chain was given up
        ("redraws", pa.int32()),
        ("tokens", pa.int32()),
    ]
)
