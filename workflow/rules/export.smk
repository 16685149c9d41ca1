# Export of the encoder with the best development score, and a card for each encoder. No rule reads results/encoder.
rule export:
    input:
        manifests=collect("results/refine/{refined}/model.json", refined=REFINED),
        histories=collect("results/refine/{refined}/history.json", refined=REFINED),
        scores="results/scores.csv",
        lists_stats="results/consolidate/lists.json",
        base=BASE_RECORDS,
    output:
        encoder=directory("results/encoder"),
        cards=collect("results/cards/{refined}.md", refined=REFINED),
        selection="results/selection.json",
        table="results/experiments.md",
    log:
        "results/logs/export.log",
    localrule: True
    conda:
        "../../envs/rankrefine.yaml"
    params:
        python=python,
        code=code("export"),
    message:
        "Exporting the best encoder, and the cards of all"
    shell:
        "{params.python:q} -m rankrefine export --manifests {input.manifests:q} --histories {input.histories:q}"
        " --scores {input.scores:q} --lists-stats {input.lists_stats:q} --output {output.encoder:q} --cards results/cards"
        " --selection {output.selection:q}"
        " --table {output.table:q} --base-records {input.base:q} --log {log:q}"
