# Stage 3. The shards are named by the config, never found by a glob; their paths may exceed the
# command-line length limit.
rule consolidate:
    input:
        shards=collect(f"{GENERATED}/{{shard}}.parquet", shard=SHARDS),
        stats=collect(f"{GENERATED}/{{shard}}.json", shard=SHARDS),
        pool_stats=f"{POOL}/pool.json",
    output:
        lists="results/consolidate/lists.parquet",
        stats="results/consolidate/lists.json",
        card="results/consolidate/README.md",
    log:
        "results/logs/consolidate.log",
    benchmark:
        "results/benchmarks/consolidate.tsv"
    conda:
        "../../envs/rankrefine.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        python=python,
        config=reads("consolidate"),
        shards=lambda wc, input: GENERATED,
        code=code("consolidate"),
    message:
        "Stage 3: consolidating the ranking lists"
    shell:
        "{params.python:q} -m rankrefine consolidate --config {params.config:q} --shards {params.shards:q}"
        " --pool-stats {input.pool_stats:q} --output {output.lists:q} --stats {output.stats:q} --card {output.card:q}"
        " --log {log:q}"
