# The report: figures and tables are one job, Snakemake's self-contained page around them another.
rule report:
    input:
        seeds=f"{POOL}/pool.json",
        shards=collect(f"{GENERATED}/{{shard}}.json", shard=SHARDS),
        lists="results/consolidate/lists.parquet",
        consolidate="results/consolidate/lists.json",
        teacher=f"results/teacher/{SHOWN_TEACHER}/embeddings.safetensors",
        similarity=f"results/teacher/{SHOWN_TEACHER}/similarity.json",
        teachers=collect("results/teacher/{teacher}/embeddings.safetensors", teacher=ALL_TEACHERS),
        history=collect("results/refine/{refined}/history.json", refined=REFINED),
        scores="results/scores.csv",
        overlap=collect("results/overlap/{task}.json", task=TASKS),
        selection="results/selection.json",
    output:
        report(
            "results/report/summary.html",
            caption="../report/summary.rst",
            category="1 Summary",
            labels={"item": "what was done"},
        ),
        report(
            "results/report/scores.html",
            caption="../report/scores.rst",
            category="2 Scores",
            labels={"item": "table"},
        ),
        report(
            "results/report/scores.svg",
            caption="../report/forest.rst",
            category="2 Scores",
            labels={"item": "differences to the base"},
        ),
        report(
            "results/report/representation.svg",
            caption="../report/representation.rst",
            category="2 Scores",
            labels={"item": "alignment and uniformity"},
        ),
        report(
            "results/report/similarity.svg",
            caption="../report/similarity.rst",
            category="3 Ranking lists",
            labels={"item": "similarity by rank"},
        ),
        report(
            "results/report/order.svg",
            caption="../report/order.rst",
            category="3 Ranking lists",
            labels={"item": "order of the targets"},
        ),
        report(
            "results/report/lists.html",
            caption="../report/lists.rst",
            category="3 Ranking lists",
            labels={"item": "examples"},
        ),
        report(
            "results/report/drops.svg",
            caption="../report/funnel.rst",
            category="4 Dropped",
            labels={"item": "from raw sentence to training list"},
        ),
        report(
            "results/report/drops.html",
            caption="../report/drops.rst",
            category="4 Dropped",
            labels={"item": "table"},
        ),
        report(
            "results/report/training.svg",
            caption="../report/training.rst",
            category="5 Training",
            labels={"item": "loss and development score"},
        ),
        report(
            "results/report/experiments.svg",
            caption="../report/experiments.rst",
            category="5 Training",
            labels={"item": "experiments"},
        ),
        report(
            "results/report/timings.svg",
            caption="../report/timings.rst",
            category="6 Time and cost",
            labels={"item": "time and memory"},
        ),
        report(
            "results/report/timings.html",
            caption="../report/timings.rst",
            category="6 Time and cost",
            labels={"item": "table"},
        ),
        report(
            "results/report/provenance.html",
            caption="../report/provenance.rst",
            category="7 Provenance",
            labels={"item": "what made it"},
        ),
    log:
        "results/logs/report.log",
    localrule: True
    conda:
        "../../envs/rankrefine.yaml"
    params:
        config=reads("report"),
        teacher=lambda wc, input: str(Path(input.teacher).parent),
        code=code("report"),
    message:
        "Drawing the report's figures and tables"
    shell:
        "{PYTHON:q} -m rankrefine report --config {params.config:q} --inputs results --teacher {params.teacher:q} --output results/report --log {log:q}"


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
        stylesheet=lambda wc, input: Path(workflow.basedir, "workflow/report/style.css"),
        captions=captions(),
    message:
        "Assembling results/report.html"
    # its log is written when a page that does not fit is gone: on a full disk it would be empty. --quiet all hides errors, too
    shell:
        "if told=$({PYTHON:q} -m snakemake --snakefile {params.snakefile:q} --configfile <(printf %s {params.config:q})"
        " --cores 1 --nolock --quiet progress rules host reason --report {output:q} --report-stylesheet {params.stylesheet:q} {input:q} 2>&1);"
        " then failed=0; else failed=1; rm -f {output:q}; fi; printf '%s\\n' \"$told\" > {log:q}; exit $failed"
