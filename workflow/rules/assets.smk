# Models and data sets. Remote ones are pinned by hash or revision: their jobs depend on the source and its pin alone, and
# run on the submit host, because compute nodes often have no network. Local ones are checked again, and a GGUF file is
# converted again, when their files change.
localrules:
    asset,
    local_asset,
    check,


rule asset:
    output:
        folder=directory("results/assets/{slug}"),
        manifest="results/assets/{slug}.json",
    log:
        "results/logs/asset/{slug}.log",
    wildcard_constraints:
        slug="(?!local-|gguf-).+",
    priority: 100
    conda:
        "../../envs/rankrefine.yaml"
    params:
        python=python,
        source=lambda wc: ASSETS[wc.slug].text,
        kind=lambda wc: ASSETS[wc.slug].kind,
        pin=lambda wc: pin(ASSETS[wc.slug]),
    message:
        "Fetching {params.source}"
    shell:
        "{params.python:q} -m rankrefine asset --source={params.source:q} --kind {params.kind}"
        " --folder {output.folder:q} --manifest {output.manifest:q} --log {log:q}"


rule local_asset:
    input:
        lambda wc: ASSETS[wc.slug].files,
    output:
        manifest="results/assets/{slug}.json",
    log:
        "results/logs/asset/{slug}.log",
    wildcard_constraints:
        slug="local-.+",
    priority: 100
    conda:
        "../../envs/rankrefine.yaml"
    params:
        python=python,
        source=lambda wc: ASSETS[wc.slug].text,
        kind=lambda wc: ASSETS[wc.slug].kind,
        code=digest.code("rankrefine.assets.local"),
    message:
        "Checking {params.source}"
    shell:
        "{params.python:q} -m rankrefine asset --source={params.source:q} --kind {params.kind}"
        " --manifest {output.manifest:q} --log {log:q}"


rule gguf_asset:
    input:
        lambda wc: ASSETS[wc.slug].files,
    output:
        folder=directory("results/assets/{slug}"),
        manifest="results/assets/{slug}.json",
    log:
        "results/logs/asset/{slug}.log",
    wildcard_constraints:
        slug="gguf-.+",
    priority: 100
    conda:
        "../../envs/rankrefine.yaml"
    resources:
        # 4-bit weights are expanded to 16 bits, and two copies are in memory
        mem_mb=lambda wc, input: 3000 + 8 * int(input.size_mb),
        runtime=60,
    params:
        python=python,
        source=lambda wc: ASSETS[wc.slug].text,
        code=digest.code("rankrefine.assets.convert"),
    message:
        "Converting {params.source}"
    shell:
        "{params.python:q} -m rankrefine asset --source={params.source:q} --kind model"
        " --folder {output.folder:q} --manifest {output.manifest:q} --log {log:q}"


rule check:
    input:
        model=BASE_MODEL,
        encoders=[*GUIDES, *RATERS, *(settings["manifest"] for settings in OTHERS.values())],
        development=DEVELOPMENT or [],
        llm=LLM,
    output:
        "results/check.json",
    log:
        "results/logs/check.log",
    # An unusable model stops the run here instead of after hours of generation. No rule takes the result as input, not
    # even as ancient(): Snakemake would then not compare that rule's params when this rule is planned.
    priority: 60
    conda:
        "../../envs/rankrefine.yaml"
    params:
        python=python,
        code=code("check"),
        llm=LLM_FLAG,
        poolings=[
            *(config["base"]["guide_pooling"] for _ in GUIDES),
            *(config["examples"]["scorer_pooling"] for _ in RATERS),
            *(settings["pooling"] for settings in OTHERS.values()),
        ],
        development=DEVELOPMENT_FLAG,
        config=reads("check"),
        prompt_content=[PROMPT, WRITTEN_RECIPE, EXAMPLE_RECIPE, SCORING],
    message:
        "Checking the models, the prompts and the development data"
    shell:
        "{params.python:q} -m rankrefine check --config {params.config:q} --model {input.model:q} --encoders {input.encoders:q}"
        " --poolings {params.poolings} {params.development} {params.llm} --output {output:q} --log {log:q}"
