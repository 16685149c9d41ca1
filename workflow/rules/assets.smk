# Models and data sets. Remote ones are pinned by hash or revision, so their jobs depend on nothing but the source and its
# pin; they run where Snakemake runs, because compute nodes often have no network. Local ones are looked at again, and a
# GGUF file is converted again, when their files change.
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
        source=lambda wc: ASSETS[wc.slug].text,
        kind=lambda wc: ASSETS[wc.slug].kind,
        pin=lambda wc: pin(ASSETS[wc.slug]),
    message:
        "Fetching {params.source}"
    shell:
        "python -m rankrefine asset --source={params.source:q} --kind {params.kind}"
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
        source=lambda wc: ASSETS[wc.slug].text,
        kind=lambda wc: ASSETS[wc.slug].kind,
        code=digest.code("rankrefine.assets.local"),
    message:
        "Checking {params.source}"
    shell:
        "python -m rankrefine asset --source={params.source:q} --kind {params.kind}"
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
        # four bits a weight become sixteen, twice
        mem_mb=lambda wc, input: 3000 + 8 * int(input.size_mb),
        runtime=60,
    params:
        source=lambda wc: ASSETS[wc.slug].text,
        code=digest.code("rankrefine.assets.convert"),
    message:
        "Converting {params.source}"
    shell:
        "python -m rankrefine asset --source={params.source:q} --kind model"
        " --folder {output.folder:q} --manifest {output.manifest:q} --log {log:q}"


rule check:
    input:
        model=BASE_MODEL,
        encoders=[settings["manifest"] for settings in OTHERS.values()],
        development=DEVELOPMENT or [],
        llm=LLM,
    output:
        "results/check.json",
    log:
        "results/logs/check.log",
    # a wrong model stops the run here and not after hours of generation. No rule takes the result as input, not even as
    # ancient(): where this rule was planned, Snakemake would not compare that rule's params.
    priority: 60
    conda:
        "../../envs/rankrefine.yaml"
    params:
        code=digest.code("rankrefine.check"),
        llm=LLM_FLAG,
        poolings=[settings["pooling"] for settings in OTHERS.values()],
        development=DEVELOPMENT_FLAG,
        config=stage(
            "generate.prompt",
            "base.pooling",
            *(f"refine.{key}" for key in ("experiments", "layers", "matryoshka", "report_to")),
        ),
        prompt_content=PROMPT,
    message:
        "Checking the models, the prompt and the development data"
    shell:
        "python -m rankrefine check --config {params.config:q} --model {input.model:q} --encoders {input.encoders:q}"
        " --poolings {params.poolings} {params.development} {params.llm} --output {output:q} --log {log:q}"
