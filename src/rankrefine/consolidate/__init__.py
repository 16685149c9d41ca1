"""Stage 3: quality rules, and one parquet data set of ranking lists."""
