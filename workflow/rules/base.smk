# Stage 4. The encoder to refine, if it is not used as fetched: pooling, prompt, training.
rule base:
    input:
        model=BASE_MODEL,
        examples=BASE_EXAMPLES,
        guides=list(GUIDES),
        development=DEVELOPMENT or [],
    output:
        model=directory("results/base/model"),
        manifest="results/base/model.json",
        history="results/base/history.json",
    log:
        "results/logs/base.log",
    benchmark:
        "results/benchmarks/base.tsv"
    conda:
        "../../envs/rankrefine.yaml"
    threads: 16
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=gpu(),
    params:
        python=python,
        config=reads("base"),
        examples=lambda wc, input: f"--examples {shlex.quote(input.examples)}" if input.examples else "",
        development=lambda wc, input: DEVELOPMENT_FLAG,  # the input tracks its content
        weights=list(GUIDES.values()),
        code=code("base"),
    message:
        "Stage 4: preparing the encoder to refine"
    shell:
        "{params.python:q} -m rankrefine base --config {params.config:q} --model {input.model:q} {params.examples}"
        " {params.development} --guides {input.guides:q} --guide-weights {params.weights} --threads {threads}"
        " --gpus {resources.gpu} --code {params.code}"
        " --output {output.model:q} --manifest {output.manifest:q} --history {output.history:q} --log {log:q}"
