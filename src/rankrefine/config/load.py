"""The configuration: read, checked against the schema, completed with its defaults.

`config/schema.yaml` alone holds keys, defaults and ranges. This module loads no heavy library: the Snakefile imports
it in every cluster job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from rankrefine.config.messages import sentence, unusable
from rankrefine.errors import UserError, reason
from rankrefine.sources import is_gguf

SCHEMA_FILE = Path(__file__).with_name("schema.yaml")
# keys of `refine` that are the same for all experiments
SHARED = ("experiments", "seeds", "teacher_pooling", "teacher_prompt", "development", "max_length", "report_to")
SECTIONS = ("seeds", "generate", "lists", "consolidate", "base", "refine", "evaluate", "report")


@cache
def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) as a dictionary. Do not change it."""
    return yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))


def load(text_or_path: str) -> dict[str, Any]:
    """The checked and completed configuration from a YAML file, or from inline JSON (as the workflow's rules pass it).

    Raises:
        UserError: no such file, not UTF-8, not YAML, or `complete` refuses it.
    """
    if text_or_path.startswith("{"):
        return complete(json.loads(text_or_path))
    return complete(read(text_or_path), text_or_path)


def read(path: str) -> Any:
    """What a YAML file holds, unchecked; an empty mapping where it is empty.

    Raises:
        UserError: no such file, not UTF-8, or not YAML.
    """
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), _Loader) or {}
    except FileNotFoundError as error:
        raise UserError(f"There is no configuration file {path}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    # besides its own, YAML lets through what Python has against a date, a number of 5000 digits or deep nesting
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        told = reason(error).replace('in "<unicode string>", line', "in line")
        raise UserError(f"{path} is not valid YAML: {told}.") from error


class _Loader(yaml.SafeLoader):
    """YAML's own, which also says where a date or a number stands that Python has something against."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


def complete(config: Any, origin: str = "config") -> dict[str, Any]:
    """Check `config` and return a new dictionary with every default filled in.

    Raises:
        UserError: one sentence about the first offending key.
    """
    if found := next(unusable(config), None):
        raise UserError(f"{origin}: {found}")
    config = _fill(config, schema())
    for first in _errors(config, schema()):
        raise UserError(f"{origin}: {sentence(first)}")
    _check_together(config, origin)
    return config


def section(config: dict[str, Any], *keys: str) -> str:
    """Canonical JSON of the named parts of a completed config ("seed", "seeds", "generate.rounds", …).

    The result is itself a valid config: what a stage is given, and what Snakemake compares between runs.
    """
    part: dict[str, Any] = {}
    for key in keys:
        head, _, leaf = key.partition(".")
        if leaf:
            part.setdefault(head, {})[leaf] = config[head][leaf]
        else:
            part[head] = config[head]
    return json.dumps(part, sort_keys=True)


def experiment(config: dict[str, Any], name: str) -> dict[str, Any]:
    """The section `refine` as the experiment `name` has it, without the keys that speak of all experiments."""
    merged = config["refine"] | config["refine"]["experiments"][name]
    return {key: value for key, value in merged.items() if key not in ("experiments", "seeds")}


def is_prepared(config: dict[str, Any]) -> bool:
    """Whether the encoder to refine is made first, and not used as it was fetched."""
    settings = config["base"]
    return settings["recipe"] != "none" or settings["pooling"] != "model" or settings["prompt"] is not None


def seeds(config: dict[str, Any]) -> list[int]:
    """Seeds with which every experiment is trained."""
    return config["refine"]["seeds"] or [config["seed"]]


def teachers(settings: dict[str, Any]) -> dict[str, float]:
    """Teachers of an experiment and their weights, which sum to 1."""
    given = settings["teacher"] if isinstance(settings["teacher"], dict) else {settings["teacher"]: 1.0}
    return {source: weight / sum(given.values()) for source, weight in given.items()}


def first_teacher(config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Source of the teacher that is named first, and `max_length`, `teacher_pooling` and `teacher_prompt` for it.

    The encoder that is refined is taken as it is before any training.
    """
    settings = {key: config["refine"][key] for key in ("max_length", "teacher_pooling", "teacher_prompt")}
    first = next(iter(teachers(experiment(config, next(iter(config["refine"]["experiments"]))))))
    if first != "base":
        return first, settings
    base = config["base"]
    pooling = "cls" if base["pooling"] == "cls_training_head" else base["pooling"]
    return base["model"], settings | {"teacher_pooling": pooling, "teacher_prompt": base["prompt"]}


def other_encoders(config: dict[str, Any]) -> list[tuple[str, str, str, str, str | None]]:
    """Encoders that are evaluated beside base and refined ones: (name, config key, source, pooling, prompt).

    Teachers are among them, unless one is the base encoder as it is.
    """
    opened = (config["refine"]["teacher_pooling"], config["refine"]["teacher_prompt"])
    base = () if is_prepared(config) else (config["base"]["model"], "model", None)
    found = [source for source in _all_teachers(config) if source != "base" and (source, *opened) != base]
    names = ["teacher"] if len(found) == 1 else [f"teacher-{number}" for number in range(1, len(found) + 1)]
    teachers_found = [(name, "refine.teacher", source, *opened) for name, source in zip(names, found, strict=True)]
    added = [
        (one["name"], f"evaluate.encoders ({one['name']})", one["source"], one["pooling"], one["prompt"])
        for one in config["evaluate"]["encoders"]
    ]
    return teachers_found + added


def without(config: dict[str, Any], name: str, *keys: str) -> dict[str, Any]:
    """A copy of `config` whose section `name` lacks `keys`: what the stage's result does not depend on."""
    return config | {name: {key: value for key, value in config[name].items() if key not in keys}}


def leaves(node: dict[str, Any] | None = None, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All leaves of the schema as (dotted key, its schema)."""
    for key, child in (node or schema())["properties"].items():
        if "x-reruns" in child:
            yield prefix + key, child
        else:
            yield from leaves(child, f"{prefix}{key}.")


def _errors(value: Any, node: dict[str, Any]) -> list[Any]:
    """What jsonschema has against a value, the outermost first."""
    from jsonschema import Draft202012Validator, FormatChecker

    formats = FormatChecker([])
    # besides its own error, Python has others against numbers that are too large and too many parentheses
    formats.checks("regex", raises=(re.error, OverflowError, RecursionError))(_is_regex)
    errors = Draft202012Validator(node, format_checker=formats).iter_errors(value)
    return sorted(errors, key=lambda error: (len(error.absolute_path), str(error.absolute_path)))


def _is_regex(value: Any) -> bool:
    return not isinstance(value, str) or re.compile(value) is not None


def _fill(value: Any, node: dict[str, Any]) -> Any:
    """`value` with the defaults of `node` filled in; of the wrong type, it is left for the validator to refuse."""
    if isinstance(value, dict) and "properties" in node:
        filled = dict(value)
        for key, child in node["properties"].items():
            if key in filled:
                filled[key] = _fill(filled[key], child)
            elif "default" in child:
                filled[key] = _fill(child["default"], child)
        if isinstance(filled.get("experiments"), dict):  # their keys are those of the section around them
            inner = node["properties"]
            filled["experiments"] = {
                name: {key: _fill(changed, inner.get(key, {})) for key, changed in changes.items()}
                if isinstance(changes, dict)
                else changes
                for name, changes in filled["experiments"].items()
            }
        return filled
    if isinstance(value, list) and "items" in node:
        return [_fill(item, node["items"]) for item in value]
    for alternative in node.get("anyOf", ()):
        value = _fill(value, alternative)
    # 2 and 2.0 are one value: written differently, they must not plan anything
    if node.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if node.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _check_together(config: dict[str, Any], origin: str) -> None:
    """What a JSON schema cannot say: conditions between keys."""
    names = [source["name"] for source in config["seeds"]["sources"]]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{origin}: seeds.sources: two sources have the name '{twice[0]}'; give each its own.")
    for part in ("seeds", "generate", "consolidate"):
        if config[part]["min_words"] > config[part]["max_words"]:
            raise UserError(
                f"{origin}: {part}.min_words ({config[part]['min_words']}) is above {part}.max_words "
                f"({config[part]['max_words']}), which leaves nothing."
            )
    lists = config["lists"]
    if lists["source"] == "import" and lists["file"] is None:
        raise UserError(f"{origin}: lists.source is import, but lists.file is null; name the file with the lists.")
    if lists["source"] == "generate" and lists["file"] is not None:
        raise UserError(
            f"{origin}: lists.file is for import, but lists.source is generate; write lists.source: import."
        )
    scales, rounds = config["generate"]["guidance_scale"], config["generate"]["rounds"]
    if isinstance(scales, list) and len(scales) > rounds:
        raise UserError(
            f"{origin}: generate.guidance_scale holds {len(scales)} numbers but there are {rounds} rounds "
            "(generate.rounds); leave out what is too many."
        )
    for name, changes in config["refine"]["experiments"].items():
        _check_experiment(config, name, changes, origin)
    if config["base"]["recipe"] == "none" and config["base"]["data"] is not None:
        raise UserError(f"{origin}: base.data is for a recipe, but base.recipe is none; choose one.")
    if config["base"]["recipe"] != "none" and config["refine"]["development"] is None:
        raise UserError(f"{origin}: base.recipe chooses its best step by refine.development, which is null; name it.")
    if config["base"]["recipe"] == "simcse_sup" and config["base"]["data"] is None:
        raise UserError(f"{origin}: base.recipe simcse_sup trains on triplets; name them in base.data.")
    _check_evaluate(config, origin)
    teachers_of_all = [("refine.teacher", source) for source in _all_teachers(config)]
    added = [("evaluate.encoders", encoder["source"]) for encoder in config["evaluate"]["encoders"]]
    for key, source in (("base.model", config["base"]["model"]), *teachers_of_all, *added):
        if is_gguf(source):
            raise UserError(
                f"{origin}: {key} is '{source}', a GGUF file, which holds a language model; name the folder of an "
                "encoder."
            )


def _check_evaluate(config: dict[str, Any], origin: str) -> None:
    """Refuse an evaluation of nothing, and two encoders of one name."""
    if not config["evaluate"]["suites"] and not config["evaluate"]["tasks"]:
        raise UserError(f"{origin}: evaluate.suites and evaluate.tasks are both empty; name at least one task.")
    names = [*config["refine"]["experiments"], *(encoder["name"] for encoder in config["evaluate"]["encoders"])]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{origin}: evaluate.encoders: two models have the name '{twice[0]}'; give each its own.")


def _check_experiment(config: dict[str, Any], name: str, changes: dict[str, Any], origin: str) -> None:
    """An experiment's keys are checked as those of the section are.

    Raises:
        UserError: unknown key, wrong value, or a key that is the same for all experiments.
    """
    where = f"refine.experiments.{name}"
    if shared := sorted(set(changes) & set(SHARED)):
        raise UserError(f"{origin}: {where}.{shared[0]}: this key is the same for all experiments.")
    node = schema()["properties"]["refine"]
    for error in _errors(config["refine"] | changes, node):
        raise UserError(f"{origin}: {sentence(error, where)}")
    merged = config["refine"] | changes
    if merged["contrastive"] > 0 and merged["batch_size"] < 2:
        raise UserError(f"{origin}: {where}: contrastive compares the lists of a batch; set batch_size to 2 or more.")
    if merged["anchor"] > 0 and config["base"]["pooling"] == "cls_training_head":
        raise UserError(f"{origin}: {where}: anchor compares with the base, which has no head; take another pooling.")


def _all_teachers(config: dict[str, Any]) -> list[str]:
    found = [teachers(experiment(config, name)) for name in config["refine"]["experiments"]]
    return list(dict.fromkeys(source for sources in found for source in sources))
