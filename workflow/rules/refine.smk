# Stage 4. The teacher's embeddings are their own job: changing omega, a temperature or the learning rate does not
# compute them again. `export` copies the best encoder; nothing reads results/encoder.
rule teacher:
    input:
        lists="results/consolidate/lists.parquet",
        model=TEACHER,
    output:
        embeddings="results/teacher/embeddings.safetensors",
        stats="results/teacher/similarity.json",
    log:
        "results/logs/teacher.log",
    benchmark:
        "results/benchmarks/teacher.tsv"
    conda:
        "../../envs/rankrefine.yaml"
    threads: 16
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        config=stage("refine.max_length"),
        code=digest.code("rankrefine.refine.teacher"),
    message:
        "Stage 4: embedding the lists with the teacher"
    shell:
        "python -m rankrefine teacher --config {params.config:q} --lists {input.lists:q} --model {input.model:q}"
        " --threads {threads} --output {output.embeddings:q} --stats {output.stats:q} --log {log:q}"


rule refine:
    input:
        lists="results/consolidate/lists.parquet",
        teacher="results/teacher/embeddings.safetensors",
        model=ENCODER,
        development=DEVELOPMENT,
    output:
        model=directory("results/refine/{name}/{seed}/model"),
        manifest="results/refine/{name}/{seed}/model.json",
        history="results/refine/{name}/{seed}/history.json",
    log:
        "results/logs/refine/{name}/{seed}.log",
    benchmark:
        "results/benchmarks/refine/{name}/{seed}.tsv"
    conda:
        "../../envs/rankrefine.yaml"
    threads: 16
    resources:
        mem_mb=8000,
        runtime=480,
    params:
        config=stage("seed", "refine", without=["refine.model", "refine.teacher", "refine.development"]),
        code=digest.code("rankrefine.refine.train"),
    message:
        "Stage 4: refining the encoder ({wildcards.name}, seed {wildcards.seed})"
    shell:
        "python -m rankrefine refine --config {params.config:q} --lists {input.lists:q}"
        " --teacher-embeddings {input.teacher:q} --model {input.model:q} --development {input.development:q}"
        " --threads {threads} --output {output.model:q} --manifest {output.manifest:q} --history {output.history:q}"
        " --log {log:q}"


rule export:
    input:
        manifests=collect("results/refine/{refined}/model.json", refined=REFINED),
        histories=collect("results/refine/{refined}/history.json", refined=REFINED),
        scores="results/scores.csv",
    output:
        encoder=directory("results/encoder"),
        selection="results/selection.json",
    log:
        "results/logs/export.log",
    localrule: True
    conda:
        "../../envs/rankrefine.yaml"
    params:
        code=digest.code("rankrefine.refine.export"),
    message:
        "Exporting the best encoder"
    shell:
        "python -m rankrefine export --manifests {input.manifests:q} --histories {input.histories:q}"
        " --scores {input.scores:q} --output {output.encoder:q} --selection {output.selection:q} --log {log:q}"
