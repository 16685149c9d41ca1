# Stage 4. Teacher embeddings are a job of their own, so that a change of omega, a temperature or the learning rate does
# not recompute them.
rule teacher:
    input:
        lists="results/consolidate/lists.parquet",
        model=teacher_manifest,
    output:
        embeddings="results/teacher/{teacher}/embeddings.safetensors",
        stats="results/teacher/{teacher}/similarity.json",
    log:
        "results/logs/teacher/{teacher}.log",
    benchmark:
        "results/benchmarks/teacher/{teacher}.tsv"
    conda:
        "../../envs/rankrefine.yaml"
    threads: 16
    resources:
        mem_mb=8000,
        runtime=120,
        gpu=gpu(),
    params:
        python=python,
        config=embedding,
        code=code("teacher"),
    message:
        "Stage 4: embedding the lists with the teacher {wildcards.teacher}"
    shell:
        "{params.python:q} -m rankrefine teacher --config {params.config:q} --lists {input.lists:q} --model {input.model:q}"
        " --threads {threads} --gpus {resources.gpu} --output {output.embeddings:q} --stats {output.stats:q} --log {log:q}"


rule refine:
    input:
        lists="results/consolidate/lists.parquet",
        teachers=lambda wc: [f"results/teacher/{slug}/embeddings.safetensors" for slug in TEACHERS[wc.experiment]],
        model=ENCODER,
        development=DEVELOPMENT or [],
    output:
        model=directory("results/refine/{experiment}/{seed}/model"),
        manifest="results/refine/{experiment}/{seed}/model.json",
        history="results/refine/{experiment}/{seed}/history.json",
    log:
        "results/logs/refine/{experiment}/{seed}.log",
    benchmark:
        "results/benchmarks/refine/{experiment}/{seed}.tsv"
    conda:
        "../../envs/rankrefine.yaml"
    threads: 16
    resources:
        mem_mb=8000,
        runtime=480,
        processes=1,  # they split each batch of lists; one per GPU
        gpu=gpu(processes("refine")),
    params:
        python=python,
        config=training,
        development=lambda wc, input: DEVELOPMENT_FLAG,  # the input tracks its content
        weights=lambda wc: list(TEACHERS[wc.experiment].values()),
        # computed from `input`, so that a change of trackers does not rerun trainings
        trackers=lambda wc, input: " ".join(["--report-to", *config["refine"]["report_to"]]),
        code=code("refine"),
    message:
        "Stage 4: refining the encoder ({wildcards.experiment}, random seed {wildcards.seed})"
    shell:
        "{params.python:q} -m rankrefine refine --name {wildcards.experiment:q} --config {params.config:q} --lists {input.lists:q}"
        " --teacher-embeddings {input.teachers:q} --weights {params.weights} --model {input.model:q}"
        " {params.development} {params.trackers} --threads {threads} --gpus {resources.gpu} --processes {resources.processes}"
        " --code {params.code} --output {output.model:q} --manifest {output.manifest:q} --history {output.history:q} --log {log:q}"
