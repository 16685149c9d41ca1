"""Cross-field checks: conditions between keys, which a JSON schema cannot express."""

from collections.abc import Iterator
from typing import Any

from rankrefine.config import views
from rankrefine.errors import UserError
from rankrefine.ranking_lists.shards import WRITTEN
from rankrefine.sources import is_gguf
from rankrefine.training.held_out import EVERY, held_out

# objectives of `base` that train on single sentences, and those with a guide; a test compares with their table
ON_SENTENCES = ("simcse_unsup", "rank_distillation")
SCORED = ("soft_contrastive", "smoothed_contrastive", "cosine")  # those that read scores
WITH_NEGATIVES = ("decayed_contrastive",)  # those that need a negative in each row
GUIDED = ("masked_contrastive", "masked_contrastive_released", "decayed_contrastive", "rank_distillation")
SCRATCH = "syncse_scratch"  # the recipe of examples for sentences that the language model wrote, too
# keys of `refine` that all experiments share
SHARED = ("experiments", "seeds", "teacher_pooling", "teacher_prompt", "development", "max_length", "report_to")


def problems(config: dict[str, Any]) -> Iterator[str]:
    """Yield one sentence per violated condition of a completed configuration."""
    yield from _lists(config)
    for name, changes in config["refine"]["experiments"].items():
        yield from _experiment(config, name, changes)
    yield from _examples(config)
    yield from _base(config)
    yield from _evaluate(config)
    teachers = [("refine.teacher", source) for source in views.all_teachers(config)]
    guides = [("base.guide", source) for source in views.guides(config)]
    scorers = [("examples.scorer", config["examples"]["scorer"] or "")]
    added = [("evaluate.encoders", encoder["source"]) for encoder in config["evaluate"]["encoders"]]
    for key, source in (("base.model", config["base"]["model"]), *guides, *scorers, *teachers, *added):
        if is_gguf(source):
            yield f"{key} is '{source}', a GGUF file of a language model; give the folder of an encoder."


def _lists(config: dict[str, Any]) -> Iterator[str]:
    """Check seed sentences, generation, import and consolidation."""
    for name in _repeated([source["name"] for source in config["seeds"]["sources"]]):
        yield f"seeds.sources: two sources have the name '{name}'; rename one."
    written = [source["name"] for source in config["seeds"]["sources"] if source["source"] == WRITTEN]
    if len(written) > 1:
        yield f"seeds.sources: '{written[0]}' and '{written[1]}' are both written by the section write; remove one."
    if written and config["lists"]["source"] == "import":
        yield f"lists.source is import, which needs no seed sentences; remove '{written[0]}' from seeds.sources."
    for part in ("seeds", "generate", "consolidate"):
        low, high = config[part]["min_words"], config[part]["max_words"]
        if low > high:
            yield f"{part}.min_words ({low}) is above {part}.max_words ({high}); nothing would be left."
    source, file = config["lists"]["source"], config["lists"]["file"]
    if source == "generate" and config["refine"]["development"] is None:
        yield from _held_out(config["generate"]["rounds"] + 1, config["seeds"]["count"])
    if source == "import" and file is None:
        yield "lists.source is import, but lists.file is null; give the file with the lists."
    if source == "generate" and file is not None:
        yield "lists.file is set, but lists.source is generate; set lists.source to import."
    scales, rounds = config["generate"]["guidance_scale"], config["generate"]["rounds"]
    if isinstance(scales, list) and len(scales) > rounds:
        yield (
            f"generate.guidance_scale has {len(scales)} numbers, but there are {rounds} rounds (generate.rounds); "
            f"give at most {rounds}."
        )


def _held_out(size: int, count: int) -> Iterator[str]:
    """Check that `count` lists of `size` sentences, or fewer and shorter ones, can replace development data."""
    try:
        held_out([size] * min(count, EVERY))
    except UserError as error:
        yield str(error)


def _experiment(config: dict[str, Any], name: str, changes: dict[str, Any]) -> Iterator[str]:
    where, merged = f"refine.experiments.{name}", config["refine"] | changes
    if shared := sorted(set(changes) & set(SHARED)):
        yield f"{where}.{shared[0]}: all experiments share this key; set refine.{shared[0]} instead."
    if merged["contrastive"] > 0 and merged["batch_size"] < 2:
        yield f"{where}: contrastive compares the lists of a batch; set batch_size to 2 or more."
    if merged["anchor"] > 0 and config["base"]["pooling"] == "cls_training_head":
        yield f"{where}: anchor compares with the base encoder, which has no training head; use another base.pooling."


def _base(config: dict[str, Any]) -> Iterator[str]:
    section = config["base"]
    objective = section["objective"]
    if section["data"] is not None and objective == "none":
        yield "base.data is set, but base.objective is none; set an objective or remove base.data."
    if section["mlm"] > 0 and objective == "none":
        yield "base.mlm is set, but base.objective is none; set an objective or base.mlm to 0."
    if section["guide"] is not None and objective not in GUIDED:
        yield f"base.guide is set, but base.objective {objective} has no guide; remove base.guide."
    if section["guide"] is None and objective in GUIDED:
        yield f"base.objective {objective} compares with a frozen encoder; set base.guide to one."
    is_on_pairs = objective not in ("none", *ON_SENTENCES)
    if is_on_pairs and section["data"] is None and config["examples"]["recipe"] == "none":
        yield (
            f"base.objective {objective} trains on pairs (columns anchor, positive, ...); set base.data to them, or "
            "examples.recipe."
        )
    if objective != "none" and config["refine"]["development"] is None:
        yield "base.objective selects its best step with refine.development, which is null; set refine.development."


def _examples(config: dict[str, Any]) -> Iterator[str]:
    section, base = config["examples"], config["base"]
    if section["recipe"] == "import" and section["file"] is None:
        yield "examples.recipe is import, but examples.file is null; give the file with the examples."
    if section["recipe"] != "import" and section["file"] is not None:
        yield f"examples.file is set, but examples.recipe is {section['recipe']}; set examples.recipe to import."
    if section["min_words"] > section["max_words"]:
        yield f"examples.min_words ({section['min_words']}) is above examples.max_words ({section['max_words']})."
    if section["recipe"] == SCRATCH and not views.writes_seeds(config):
        yield (
            f"examples.recipe is {SCRATCH}, but no seed sentences are written; add the line "
            f"`- {{name: scratch, source: {WRITTEN}}}` to seeds.sources, or use syncse_partial."
        )
    if section["recipe"] == "none":
        if section["scorer"] is not None:
            yield "examples.scorer is set, but examples.recipe is none; set a recipe or remove examples.scorer."
        return
    if base["objective"] in ("none", *ON_SENTENCES):
        yield (
            f"examples.recipe is set, but base.objective is {base['objective']}, which trains on no pairs; set "
            "base.objective to contrastive, for example."
        )
    if base["data"] is not None:
        yield "base.data and examples.recipe are both set; set base.data to null, or examples.recipe to none."
    yield from _scores(section, base["objective"])


def _scores(section: dict[str, Any], objective: str) -> Iterator[str]:
    """Check where the scores of the training examples come from, and what reads them."""
    columns = section["columns"] if section["recipe"] == "import" else {}
    if len({type(column) for column in columns.values()}) > 1:
        yield "examples.columns has names and numbers; use numbers alone for a file without a header, else names."
    if len(set(columns.values())) < len(columns):
        yield "examples.columns gives two roles the same column; use another one."
    if "score" in columns and section["scorer"] is not None:
        yield "examples.scorer is set, but examples.columns has a score; remove one of them."
    changed = [key for key in ("smoothing", "random_pairs") if section[key]]
    if changed and objective not in SCORED:
        yield (
            f"examples.{changed[0]} is set, but base.objective {objective} reads no scores; set base.objective to "
            f"one of {', '.join(SCORED)}."
        )
    changed += ["repair"] if section["repair"] else []
    if changed and section["scorer"] is None:
        yield f"examples.{changed[0]} changes rated examples, but examples.scorer is null; set examples.scorer."
    if section["repair"] and objective in WITH_NEGATIVES:
        yield f"examples.repair leaves negatives out, but base.objective {objective} needs all; set it to false."
    if section["recipe"] == "import" and objective in WITH_NEGATIVES and "negative" not in columns:
        yield f"base.objective {objective} needs negatives; name their column in examples.columns (negative)."
    if objective in SCORED and section["scorer"] is None and "score" not in columns:
        way = ", or name a column of scores in examples.columns" if section["recipe"] == "import" else ""
        yield f"base.objective {objective} reads scores, but examples.scorer is null; set examples.scorer{way}."


def _evaluate(config: dict[str, Any]) -> Iterator[str]:
    if not config["evaluate"]["suites"] and not config["evaluate"]["tasks"]:
        yield "evaluate.suites and evaluate.tasks are both empty; give at least one task."
    names = [*config["refine"]["experiments"], *(encoder["name"] for encoder in config["evaluate"]["encoders"])]
    for name in _repeated(names):
        yield f"evaluate.encoders: two models have the name '{name}'; rename one."


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
