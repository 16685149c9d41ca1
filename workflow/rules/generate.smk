from rankrefine.llm.facts import facts


# Stage 2. One job per shard of the pool. The prompt enters by its content, not by its file's time.
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
        f"../../envs/{facts(config['generate']['engine']).environment}.yaml"
    threads: 16
    resources:
        mem_mb=6000,
        runtime=480,
        gpu=gpu(generation_gpus()),
    params:
        config=stage("seed", "generate", without=["generate.shard_size", "generate.python"]),
        code=[
            digest.code("rankrefine.generate.run"),
            digest.code(f"rankrefine.generate.recipes.{config['generate']['recipe']}"),
            digest.code(f"rankrefine.llm.{config['generate']['engine']}.engine"),
        ],
        prompt=PROMPT,
        rows=lambda wc: rows(wc.shard),
        llm=LLM_FLAG,
        # functions of `input` are not compared with the last run: neither the environment nor a new budget (which is
        # there to refuse a pool that is too small at the first shard) makes shards anew
        python=lambda wc, input: ENGINE_PYTHON,
        budget=lambda wc, input: config["seeds"]["count"],
    message:
        "Stage 2: generating ranking lists, shard {wildcards.shard}"
    shell:
        "{params.python:q} -m rankrefine generate --config {params.config:q}"
        " --pool {input.pool:q} --pool-stats {input.stats:q} {params.rows} --budget {params.budget} {params.llm} --threads {threads} --gpus {resources.gpu} --code {params.code}"
        " --output {output.shard:q} --stats {output.stats:q} --log {log:q}"
