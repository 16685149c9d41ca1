"""Views of a completed configuration: the part that a rule reads, experiments, teachers, encoders to evaluate."""

from typing import Any

from rankrefine.config.schema import leaves
from rankrefine.ranking_lists.shards import WRITTEN

UNTRAINED = ("objective", "pooling", "prompt", "attention")  # keys of `base` that take effect without a training

LIKELIHOOD = "likelihood"  # the value of `examples.scorer` for the language model
EXAMPLES = ("synthesize", "examples", "likelihood")  # rules that also run beside imported lists


def for_rule(config: dict[str, Any], rule: str) -> dict[str, Any]:
    """Return the keys of `config` whose schema names `rule` under `x-reads`, nested as in `config`.

    The result is what a job of the rule receives, what Snakemake compares between runs, and what the job's record
    states. With imported lists, only what import_lists reads of `seeds` and `generate` takes effect. `check` loads the
    recipes, and so reads what `synthesize` and `write` read.
    """
    is_import = config["lists"]["source"] == "import"
    names = {rule}
    if rule == "check":
        names |= {"synthesize"} if writes_examples(config) else set()
        names |= {"write"} if writes_seeds(config) else set()
    part: dict[str, Any] = {}
    for key, leaf in leaves():
        section, _, name = key.partition(".")
        rules = leaf.get("x-reads", ())
        if names.isdisjoint(rules):
            continue
        if is_import and rule not in EXAMPLES and section in ("seeds", "generate") and "import_lists" not in rules:
            continue
        if not name:
            part[section] = config[section]
        elif name in config[section]:
            part.setdefault(section, {})[name] = config[section][name]
    if rule == "base" and config["base"]["objective"] == "none":
        part["base"] = {key: part["base"][key] for key in UNTRAINED}
    return part


def experiment(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Return section `refine` with the changes of an experiment, without the list of experiments."""
    merged = config["refine"] | config["refine"]["experiments"][name]
    return {key: value for key, value in merged.items() if key not in ("experiments", "seeds")}


def training(config: dict[str, Any], name: str, random_seed: int) -> dict[str, Any]:
    """Return the keys that one training reads: `for_rule` of refine with its experiment's values and random seed."""
    return for_rule(config | {"seed": random_seed, "refine": experiment(config, name)}, "refine")


def embedding(config: dict[str, Any], teacher: str) -> dict[str, Any]:
    """Return the keys that a teacher reads; the base encoder as a teacher keeps its own pooling and prompt."""
    part = for_rule(config, "teacher")
    return {"refine": {"max_length": part["refine"]["max_length"]}} if teacher == "base" else part


def writes_seeds(config: dict[str, Any]) -> bool:
    """Return True if the language model writes seed sentences."""
    makes_lists = config["lists"]["source"] == "generate"  # first: `check` has no section seeds beside imported lists
    return makes_lists and any(source["source"] == WRITTEN for source in config["seeds"]["sources"])


def writes_examples(config: dict[str, Any]) -> bool:
    """Return True if the language model writes training examples."""
    return config["examples"]["recipe"] not in ("none", "import")


def runs_language_model(config: dict[str, Any]) -> bool:
    """Return True if the language model writes ranking lists or training examples, or rates examples."""
    makes_lists = config["lists"]["source"] == "generate"
    return makes_lists or writes_examples(config) or config["examples"]["scorer"] == LIKELIHOOD


def is_prepared(config: dict[str, Any]) -> bool:
    """Return True if a job makes the base encoder from `base.model`."""
    own = {"objective": "none", "pooling": "model", "prompt": None, "attention": "model"}
    return any(config["base"][key] != value for key, value in own.items())


def random_seeds(config: dict[str, Any]) -> list[int]:
    """Return the random seeds of each experiment."""
    return config["refine"]["seeds"] or [config["seed"]]


def teachers(settings: dict[str, Any]) -> dict[str, float]:
    """Return the teachers of an experiment with their weights, which sum to 1."""
    return _weights(settings["teacher"])


def guides(config: dict[str, Any]) -> dict[str, float]:
    """Return the guides of the base encoder's objective with their weights, which sum to 1."""
    return _weights(config["base"]["guide"] or {})


def _weights(encoders: str | dict[str, float]) -> dict[str, float]:
    weights = encoders if isinstance(encoders, dict) else {encoders: 1.0}
    return {source: weight / sum(weights.values()) for source, weight in weights.items()}


def all_teachers(config: dict[str, Any]) -> list[str]:
    """Return the sources of the teachers of all experiments, each once."""
    experiments = (experiment(config, name) for name in config["refine"]["experiments"])
    return list(dict.fromkeys(source for settings in experiments for source in teachers(settings)))


def first_teacher(config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the source of the first teacher, and the settings with which it opens and embeds.

    If the base encoder is its own teacher, this is the encoder before any training.
    """
    settings = {key: config["refine"][key] for key in ("max_length", "teacher_pooling", "teacher_prompt")}
    first = all_teachers(config)[0]
    if first != "base":
        return first, settings | {"attention": "model"}
    base = config["base"]
    pooling = "cls" if base["pooling"] == "cls_training_head" else base["pooling"]
    own = {"teacher_pooling": pooling, "teacher_prompt": base["prompt"], "attention": base["attention"]}
    return base["model"], settings | own


def other_encoders(config: dict[str, Any]) -> list[tuple[str, str, str, str, str | None]]:
    """Return the encoders to evaluate beside base and refined ones: (name, config key, source, pooling, prompt).

    Teachers are among them, except a teacher that is the base encoder.
    """
    opening = (config["refine"]["teacher_pooling"], config["refine"]["teacher_prompt"])
    base = () if is_prepared(config) else (config["base"]["model"], "model", None)
    sources = [source for source in all_teachers(config) if source != "base" and (source, *opening) != base]
    names = ["teacher"] if len(sources) == 1 else [f"teacher-{number}" for number in range(1, len(sources) + 1)]
    encoders = [(name, "refine.teacher", source, *opening) for name, source in zip(names, sources, strict=True)]
    for item in config["evaluate"]["encoders"]:
        key = f"evaluate.encoders ({item['name']})"
        encoders.append((item["name"], key, item["source"], item["pooling"], item["prompt"]))
    return encoders
