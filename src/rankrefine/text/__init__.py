"""Text shared by several stages: words, normal form, readers, duplicate detection, rewrite rules, tallies."""
