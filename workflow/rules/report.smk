# The report: one job draws the figures and pages of report/contents.py, another embeds them in Snakemake's page.
rule report:
    input:
        seeds=f"{POOL}/pool.json",
        shards_of_seeds=collect("results/write/{shard}.json", shard=WRITTEN_SHARDS),
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
        base=BASE_RECORDS,
        shards_of_examples=collect("results/synthesize/{shard}.json", shard=EXAMPLE_SHARDS),
        examples=EXAMPLE_TABLES,
    output:
        [
            report(
                f"results/report/{item.file}",
                caption=f"../report/{item.stem}.rst",
                category=item.category,
                labels={"item": item.label},
            )
            for item in contents.items(config)
        ],
    log:
        "results/logs/report.log",
    localrule: True
    conda:
        "../../envs/rankrefine.yaml"
    params:
        python=python,
        config=reads("report"),
        teacher=lambda wc, input: str(Path(input.teacher).parent),
        code=code("report", *contents.MODULES),
        templates=content_digest("src/rankrefine/report/templates"),
    message:
        "Drawing the report's figures and tables"
    shell:
        "{params.python:q} -m rankrefine report --config {params.config:q} --inputs results --teacher {params.teacher:q} --output results/report --log {log:q}"


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
        python=python,
        # computed from `input` to avoid reruns (see `python`)
        config=lambda wc, input: json.dumps(config),
        snakefile=lambda wc, input: workflow.main_snakefile,
        stylesheet=lambda wc, input: Path(workflow.basedir, "workflow/report/style.css"),
        captions=content_digest("workflow/report"),
    message:
        "Assembling results/report.html"
    # Snakemake reads files in the locale's encoding unless PYTHONUTF8 is set
    # the log is written after removing an incomplete page: on a full disk it would be empty. --quiet all hides errors, too
    shell:
        "if output=$(PYTHONUTF8=1 {params.python:q} -m snakemake --snakefile {params.snakefile:q} --configfile <(printf %s {params.config:q})"
        " --cores 1 --nolock --quiet progress rules host reason --report {output:q} --report-stylesheet {params.stylesheet:q} {input:q} 2>&1);"
        " then failed=0; else failed=1; rm -f {output:q}; fi; printf '%s\\n' \"$output\" > {log:q}; exit $failed"
