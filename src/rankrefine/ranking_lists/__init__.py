"""Ranking lists shared by several stages: schema, reader, shards, teacher embeddings."""
