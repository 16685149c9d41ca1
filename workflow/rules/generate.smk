# Stage 2. One job per shard of the pool. The prompt file is tracked by content, not by mtime.
rule generate:
    input:
        pool="results/seeds/pool.parquet",
        stats="results/seeds/pool.json",
        llm=LLM,
    output:
        shard="results/generate/{shard}.parquet",
        stats="results/generate/{shard}.json",
    log:
        "results/logs/generate/{shard}.log",
    benchmark:
        "results/benchmarks/generate/{shard}.tsv"
    conda:
        f"../../envs/{ENGINE.environment}.yaml"
    threads: 16
    resources:
        mem_mb=6000,
        runtime=480,
        gpu=gpu(ENGINE.gpus(config["generate"])),
    params:
        python=engine_python,
        command="generate",
        config=reads("generate"),
        code=code(
            "generate",
            f"rankrefine.generate.recipes.{config['generate']['recipe']}",
            f"rankrefine.llm.{config['generate']['engine']}.engine",
        ),
        prompt=PROMPT,
        rows=lambda wc: rows("results/generate", SHARDS, wc.shard),
        llm=LLM_FLAG,
        # The budget only rejects a pool that is too small early; changing it must not trigger a rerun. See `python`.
        pool=lambda wc, input: pool_flags(input, config["seeds"]["count"]),
    message:
        "Stage 2: generating ranking lists, shard {wildcards.shard}"
    shell:
        "{params.python:q} -m rankrefine {params.command} --config {params.config:q}"
        " {params.pool} {params.rows} {params.llm} --threads {threads} --gpus {resources.gpu} --code {params.code}"
        " --output {output.shard:q} --stats {output.stats:q} --log {log:q}"
