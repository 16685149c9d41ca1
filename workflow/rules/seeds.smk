# Stage 1. The pool does not depend on seeds.count, so that a larger budget only adds shards.
rule seeds:
    input:
        assets=sorted({*SEED_SOURCES, *DECONTAMINATION}),
        written=collect("results/write/{shard}.parquet", shard=WRITTEN_SHARDS),
        written_stats=collect("results/write/{shard}.json", shard=WRITTEN_SHARDS),
    output:
        pool="results/seeds/pool.parquet",
        stats="results/seeds/pool.json",
    log:
        "results/logs/seeds.log",
    benchmark:
        "results/benchmarks/seeds.tsv"
    conda:
        "../../envs/rankrefine.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        python=python,
        config=reads("seeds"),
        written=WRITTEN_FLAGS,
        code=code("seeds"),
    message:
        "Stage 1: extracting seed sentences"
    shell:
        "{params.python:q} -m rankrefine seeds --config {params.config:q} --assets {input.assets:q} {params.written}"
        " --output {output.pool:q} --stats {output.stats:q} --log {log:q}"
