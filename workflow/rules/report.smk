# The report: figures and tables are one job, Snakemake's self-contained page around them another.
rule report:
    input:
        seeds="results/seeds/pool.json",
        shards=collect("results/generate/{shard}.json", shard=SHARDS),
        lists="results/consolidate/lists.parquet",
        consolidate="results/consolidate/lists.json",
        teacher=f"results/teacher/{SHOWN_TEACHER}/embeddings.safetensors",
        similarity=f"results/teacher/{SHOWN_TEACHER}/similarity.json",
        history=collect("results/refine/{refined}/history.json", refined=REFINED),
        scores="results/scores.csv",
        overlap=collect("results/overlap/{task}.json", task=TASKS),
        selection="results/selection.json",
    output:
        report(
            "results/report/scores.html",
            caption="../report/scores.rst",
            category="1 Scores",
            labels={"item": "table"},
        ),
        report(
            "results/report/scores.svg",
            caption="../report/scores.rst",
            category="1 Scores",
            labels={"item": "differences to the base"},
        ),
        report(
            "results/report/similarity.svg",
            caption="../report/similarity.rst",
            category="2 Ranking lists",
            labels={"item": "similarity by rank"},
        ),
        report(
            "results/report/lists.html",
            caption="../report/lists.rst",
            category="2 Ranking lists",
            labels={"item": "examples"},
        ),
        report(
            "results/report/drops.html", caption="../report/drops.rst", category="3 Dropped", labels={"item": "table"}
        ),
        report(
            "results/report/drops.svg",
            caption="../report/drops.rst",
            category="3 Dropped",
            labels={"item": "from raw sentence to training list"},
        ),
        report(
            "results/report/training.svg",
            caption="../report/training.rst",
            category="4 Training",
            labels={"item": "loss and development score"},
        ),
        report(
            "results/report/experiments.svg",
            caption="../report/experiments.rst",
            category="4 Training",
            labels={"item": "experiments"},
        ),
        report(
            "results/report/provenance.html",
            caption="../report/provenance.rst",
            category="5 Provenance",
            labels={"item": "what made it"},
        ),
    log:
        "results/logs/report.log",
    localrule: True
    conda:
        "../../envs/rankrefine.yaml"
    params:
        config=stage(*BUDGET, "report"),
        teacher=lambda wc, input: str(Path(input.teacher).parent),
        code=digest.code("rankrefine.report"),
    message:
        "Drawing the report's figures and tables"
    shell:
        "python -m rankrefine report --config {params.config:q} --inputs results --teacher {params.teacher:q} --output results/report --log {log:q}"


rule page:
    input:
        rules.report.output,
    output:
        "results/report.html",
    log:
        "results/logs/page.log",
    localrule: True
    conda:
        "../../envs/rankrefine.yaml"
    params:
        # the run's config and place as they are; functions of `input`, so that they are not compared with the last run
        config=lambda wc, input: json.dumps(config),
        snakefile=lambda wc, input: workflow.main_snakefile,
        captions=captions(),
    message:
        "Assembling results/report.html"
    shell:
        "python -m snakemake --snakefile {params.snakefile:q} --configfile <(printf %s {params.config:q})"
        " --cores 1 --nolock --quiet all --report {output:q} {input:q} 2> {log:q}"
