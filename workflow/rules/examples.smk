# Training examples of the base encoder. The language model writes them as it writes ranking lists, with another recipe.
if views.writes_examples(config):

    use rule generate as synthesize with:
        input:
            pool=f"{POOL}/pool.parquet",
            stats=f"{POOL}/pool.json",
            llm=LLM,
        output:
            shard="results/synthesize/{shard}.parquet",
            stats="results/synthesize/{shard}.json",
        log:
            "results/logs/synthesize/{shard}.log",
        benchmark:
            "results/benchmarks/synthesize/{shard}.tsv"
        params:
            python=engine_python,
            command="synthesize",
            config=reads("synthesize"),
            code=code(
                "synthesize",
                "rankrefine.generate.recipes.steps",
                f"rankrefine.llm.{config['generate']['engine']}.engine",
            ),
            prompt=EXAMPLE_RECIPE,
            rows=lambda wc: rows("results/synthesize", EXAMPLE_SHARDS, wc.shard),
            llm=LLM_FLAG,
            pool=lambda wc, input: pool_flags(input, config["examples"]["count"]),
        message:
            "Writing training examples, shard {wildcards.shard}"


rule examples:
    input:
        shards=collect("results/synthesize/{shard}.parquet", shard=EXAMPLE_SHARDS),
        stats=collect("results/synthesize/{shard}.json", shard=EXAMPLE_SHARDS),
        pool=f"{POOL}/pool.json" if EXAMPLE_SHARDS else [],
        data=EXAMPLE_FILE,
        assets=sorted(set(DECONTAMINATION)),
    output:
        examples="results/examples/examples.parquet",
        stats="results/examples/examples.json",
        card=[] if SCORER else "results/examples/README.md",  # with a scorer, it describes the chosen examples
    log:
        "results/logs/examples.log",
    benchmark:
        "results/benchmarks/examples.tsv"
    conda:
        "../../envs/rankrefine.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        python=python,
        config=reads("examples"),
        source=lambda wc, input: (
            f"--data {shlex.quote(input.data)}"
            if input.data
            else f"--shards results/synthesize --pool-stats {shlex.quote(input.pool)}"
        ),
        card=lambda wc, output: f"--card {shlex.quote(output.card)}" if output.card else "",
        code=code("examples"),
    message:
        "Filtering the training examples"
    shell:
        "{params.python:q} -m rankrefine examples --config {params.config:q} {params.source} --assets {input.assets:q}"
        " --output {output.examples:q} --stats {output.stats:q} {params.card} --log {log:q}"


if SCORING:

    rule likelihood:
        input:
            examples="results/examples/examples.parquet",
            llm=LLM,
        output:
            ratings="results/examples/ratings.parquet",
            stats="results/examples/ratings.json",
        log:
            "results/logs/likelihood.log",
        benchmark:
            "results/benchmarks/likelihood.tsv"
        conda:
            f"../../envs/{ENGINE.environment}.yaml"
        threads: 16
        resources:
            mem_mb=6000,
            runtime=480,
            gpu=gpu(ENGINE.gpus(config["generate"])),
        params:
            python=engine_python,
            config=reads("likelihood"),
            code=code("likelihood", f"rankrefine.llm.{config['generate']['engine']}.engine"),
            prompt=SCORING,
            llm=LLM_FLAG,
        message:
            "Rating the training examples with the language model"
        shell:
            "{params.python:q} -m rankrefine likelihood --config {params.config:q} --examples {input.examples:q} {params.llm}"
            " --threads {threads} --gpus {resources.gpu} --output {output.ratings:q} --stats {output.stats:q} --log {log:q}"

elif SCORER:

    rule rate:
        input:
            examples="results/examples/examples.parquet",
            model=SCORER,
        output:
            ratings="results/examples/ratings.parquet",
            stats="results/examples/ratings.json",
        log:
            "results/logs/rate.log",
        benchmark:
            "results/benchmarks/rate.tsv"
        conda:
            "../../envs/rankrefine.yaml"
        threads: 16
        resources:
            mem_mb=8000,
            runtime=120,
            gpu=gpu(),
        params:
            python=python,
            config=reads("rate"),
            code=code("rate"),
        message:
            "Rating the training examples"
        shell:
            "{params.python:q} -m rankrefine rate --config {params.config:q} --examples {input.examples:q} --model {input.model:q}"
            " --threads {threads} --gpus {resources.gpu} --output {output.ratings:q} --stats {output.stats:q} --log {log:q}"


if SCORER:

    rule curate:
        input:
            examples="results/examples/examples.parquet",
            ratings="results/examples/ratings.parquet",
            examples_stats="results/examples/examples.json",
            ratings_stats="results/examples/ratings.json",
        output:
            curated="results/examples/curated.parquet",
            stats="results/examples/curated.json",
            card="results/examples/README.md",
        log:
            "results/logs/curate.log",
        benchmark:
            "results/benchmarks/curate.tsv"
        conda:
            "../../envs/rankrefine.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            python=python,
            config=reads("curate"),
            code=code("curate"),
        message:
            "Choosing training examples by their ratings"
        shell:
            "{params.python:q} -m rankrefine curate --config {params.config:q} --examples {input.examples:q} --ratings {input.ratings:q}"
            " --examples-stats {input.examples_stats:q} --ratings-stats {input.ratings_stats:q}"
            " --output {output.curated:q} --stats {output.stats:q} --card {output.card:q} --log {log:q}"
