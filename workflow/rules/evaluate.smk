# Stage 5. Every (model, task) is a job. A task's name and data are checked when the run starts, not when it ends.
rule task:
    input:
        data=lambda wc: TASKS[wc.task],
    output:
        "results/tasks/{task}.json",
    log:
        "results/logs/task/{task}.log",
    priority: 50
    localrule: True
    conda:
        "../../envs/rankrefine.yaml"
    params:
        python=python,
        # computed from `input` to avoid reruns (see `python`); key and names are for messages alone
        key=lambda wc, input: catalogue.key(wc.task, config["evaluate"]),
        module=lambda wc, input: catalogue.module(wc.task),
        own=lambda wc, input: list(catalogue.OWN),
        code=task_code("task"),
    message:
        "Checking task {wildcards.task}"
    shell:
        "{params.python:q} -m rankrefine task --task {wildcards.task:q} --module {params.module} --own {params.own}"
        " --key {params.key:q} --data {input.data:q} --output {output:q} --log {log:q}"


rule overlap:
    input:
        pool=f"{POOL}/pool.parquet",
        pool_stats=f"{POOL}/pool.json",
        task="results/tasks/{task}.json",
    output:
        "results/overlap/{task}.json",
    log:
        "results/logs/overlap/{task}.log",
    localrule: True
    conda:
        "../../envs/rankrefine.yaml"
    params:
        python=python,
        config=reads("overlap"),
        code=task_code("overlap"),
    message:
        "Counting seed sentences in {wildcards.task}"
    shell:
        "{params.python:q} -m rankrefine overlap --config {params.config:q} --pool {input.pool:q} --pool-stats {input.pool_stats:q}"
        " --prepared {input.task:q} --output {output:q} --log {log:q}"


rule evaluate:
    input:
        task="results/tasks/{task}.json",
        model=model_manifest,
    output:
        "results/evaluate/{model}/{task}.json",
    log:
        "results/logs/evaluate/{model}/{task}.log",
    benchmark:
        "results/benchmarks/evaluate/{model}/{task}.tsv"
    conda:
        "../../envs/rankrefine.yaml"
    threads: 16
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=gpu(),
    params:
        python=python,
        opening=opening,
        code=task_code("evaluate"),
        encoding=[
            digest.code(f"rankrefine.{name}")
            for name in ("encoders.opening", "encoders.pooling", "evaluate.embedding_cache")
        ],
    message:
        "Stage 5: evaluating {wildcards.model} on {wildcards.task}"
    shell:
        "{params.python:q} -m rankrefine evaluate --prepared {input.task:q} --model {input.model:q} --name {wildcards.model:q}"
        " {params.opening:q} --threads {threads} --gpus {resources.gpu} --embedding-cache results/cache/embeddings"
        " --code {params.encoding} --output {output:q} --log {log:q}"


rule scores:
    input:
        results=collect("results/evaluate/{model}/{task}.json", model=EVALUATED, task=TASKS),
    output:
        scores="results/scores.csv",
        parquet="results/scores.parquet",
        table="results/scores.md",
        mteb=directory("results/mteb"),
    log:
        "results/logs/scores.log",
    localrule: True
    conda:
        "../../envs/rankrefine.yaml"
    params:
        python=python,
        config=reads("scores"),
        # names, from which the job finds the files: all their paths may exceed the command-line length limit. Computed from
        # `input`, so that a new order in the config does not trigger a rerun.
        models=lambda wc, input: EVALUATED,
        tasks=lambda wc, input: list(TASKS),
        code=code("scores"),
    message:
        "Stage 5: score table"
    shell:
        "{params.python:q} -m rankrefine scores --config {params.config:q} --results results/evaluate --models {params.models:q}"
        " --tasks {params.tasks:q} --output {output.scores:q}"
        " --parquet {output.parquet:q} --table {output.table:q} --mteb {output.mteb:q} --log {log:q}"
