# The report: the figures of report/contents.py, and a page of our own that shows them with all results.
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
        # marked for `snakemake --report FILE.html`
        [
            report(
                f"results/report/{item.file}",
                caption=item.caption,
                category=item.category,
                labels={"item": item.label},
            )
            for item in contents.items(config)
        ],
        page=report("results/report.html", category="0 Page", labels={"item": "Everything on one page"}),
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
        texts=[content_digest(f"src/rankrefine/report/{folder}") for folder in ("templates", "captions")],
    message:
        "Writing results/report.html"
    shell:
        "{params.python:q} -m rankrefine report --config {params.config:q} --inputs results --teacher {params.teacher:q} --output results/report --page {output.page:q} --log {log:q}"
