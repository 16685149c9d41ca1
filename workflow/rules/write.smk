# Seed sentences that the language model writes. It needs no pool: a shard is a number of requests.
use rule generate as write with:
    input:
        llm=LLM,
    output:
        shard="results/write/{shard}.parquet",
        stats="results/write/{shard}.json",
    log:
        "results/logs/write/{shard}.log",
    benchmark:
        "results/benchmarks/write/{shard}.tsv"
    params:
        python=engine_python,
        command="write",
        config=reads("write"),
        code=code(
            "write", "rankrefine.generate.recipes.genres", f"rankrefine.llm.{config['generate']['engine']}.engine"
        ),
        prompt=WRITTEN_RECIPE,
        rows=lambda wc: rows("results/write", WRITTEN_SHARDS, wc.shard),
        llm=LLM_FLAG,
        pool="",
    message:
        "Stage 1: writing seed sentences, shard {wildcards.shard}"
