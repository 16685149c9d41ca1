"""The table of ratings: a row for each example, with the score of the anchor and each of its other texts."""

import pyarrow as pa

RATED = ("positive", "negative")
SCHEMA = pa.schema(dict.fromkeys(RATED, pa.float32()))  # null for a missing negative
