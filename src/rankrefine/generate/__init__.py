"""Stage 2: a language model rewrites each seed sentence step by step under guidance (`shard` is the verb).

Kept empty on purpose: the Snakefile imports `prompts`, which must not load more than the standard library and YAML.
"""
