# rankrefine: plain sentences -> ranking lists from a language model -> a better sentence encoder.
#
#   snakemake --cores all                     run everything, with config.yaml
#   snakemake --cores all consolidate         up to one stage: seeds, consolidate, scores, report
#   snakemake --cores all --until teacher     up to all jobs of a rule: generate, teacher, refine, evaluate
#   snakemake -n                              show what would run, and why
from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"  # it also reads config.yaml
include: "workflow/rules/handlers.smk"
include: "workflow/rules/assets.smk"


if config["lists"]["source"] == "import":

    include: "workflow/rules/import_lists.smk"

else:

    include: "workflow/rules/seeds.smk"


if config["lists"]["source"] != "import" or views.writes_examples(config):

    include: "workflow/rules/generate.smk"


if WRITTEN_SHARDS:

    include: "workflow/rules/write.smk"


if config["examples"]["recipe"] != "none":

    include: "workflow/rules/examples.smk"


include: "workflow/rules/consolidate.smk"
include: "workflow/rules/base.smk"
include: "workflow/rules/refine.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "results/check.json",
        "results/encoder",
        "results/selection.json",
        "results/scores.csv",
        "results/report.html",
    localrule: True


onstart:
    refuse_orphans()
    results_folder.stamp(Path("results"))
    show_machine()


onsuccess:
    show_scores()
    show_warnings()


onerror:
    show_errors()
