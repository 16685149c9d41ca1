# In place of stages 1 and 2: existing lists, written as the files that later stages read.
rule import_lists:
    input:
        data=LISTS,
        assets=sorted(set(DECONTAMINATION)),
    output:
        pool="results/lists/pool.parquet",
        pool_stats="results/lists/pool.json",
        shard="results/lists/00000.parquet",
        stats="results/lists/00000.json",
    log:
        "results/logs/import_lists.log",
    benchmark:
        "results/benchmarks/import_lists.tsv"
    conda:
        "../../envs/rankrefine.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        python=python,
        config=reads("import_lists"),
        code=code("import-lists"),
    message:
        "Stages 1 and 2: importing ranking lists"
    shell:
        "{params.python:q} -m rankrefine import-lists --config {params.config:q} --data {input.data:q} --assets {input.assets:q}"
        " --pool {output.pool:q} --pool-stats {output.pool_stats:q}"
        " --output {output.shard:q} --stats {output.stats:q} --log {log:q}"
