"""Files of recipes: found by name or path, and checked. Standard library and YAML only: the Snakefile imports this."""

import hashlib
import re
from pathlib import Path
from typing import Any

from rankrefine import yaml_file
from rankrefine.errors import UserError

FOLDER = Path(__file__).parent
STEP = {"instructions", "exemplars", "draw", "sets"}
DEFAULTS = {"input": "{sentence}", "mask": [], "against": None, "guidance_scale": 1.0, "parser": "sentence"}
PARSERS = ("sentence", "json")
ROLES = ("anchor", "positive", "negative")
SEED = "sentence"  # the seed sentence, as the value of a column
MASKED = "masked"  # the seed sentence with masked words, in the input of a step with `mask`
TAKEN = (SEED, MASKED, "seed_id", "source", "reasons", "status", "redraws", "tokens")  # other columns of a shard
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def find(name: str) -> Path:
    """Return the file of the recipe `name`, or `name` itself if it is a path to a YAML file.

    Raises:
        UserError: there is no such recipe.
    """
    return yaml_file.find(name, FOLDER, "examples.recipe", "recipe", others="none, import, ")


def digest(name: str) -> str:
    """SHA-256 of a recipe's file and of the one that it is `like`, for Snakemake's params."""
    return read(name)[1]


def read(name: str) -> tuple[dict[str, Any], str]:
    """Return the content of a recipe (see `check`), and the digest of its file and of the one that it is `like`.

    Raises:
        UserError: there is no such recipe, or its file is not one; the sentence names the key.
    """
    path = find(name)
    content = path.read_bytes()
    fields = yaml_file.parse(content, path)
    if isinstance(fields, dict) and "like" in fields:
        if not isinstance(fields["like"], str):
            raise UserError(f"{path}: like must be the name of a recipe.")
        model = find(fields["like"]).read_bytes()
        others = yaml_file.parse(model, find(fields["like"]))
        if isinstance(others, dict) and "like" in others:
            raise UserError(f"{path}: like names {fields['like']}, which is like {others['like']}; name that one.")
        content += model
        own = {key: value for key, value in fields.items() if key != "like"}
        fields = others | own if isinstance(others, dict) else own
    return check(fields, path), hashlib.sha256(content).hexdigest()


def check(fields: Any, path: Path) -> dict[str, Any]:
    """Return `steps` with all their keys, and `columns` as a list of mappings from roles to steps.

    Raises:
        UserError: this is not a recipe.
    """
    if not isinstance(fields, dict) or set(fields) != {"steps", "columns"}:
        raise UserError(f"{path} is not a recipe: it must have the keys steps and columns, and no others.")
    if not isinstance(fields["steps"], dict) or not fields["steps"]:
        raise UserError(f"{path}: steps must be a mapping with at least one step.")
    if all(map(_is_local, fields["steps"].values())):
        raise UserError(f"{path}: steps must have one that asks the language model.")
    steps: dict[str, dict[str, Any]] = {}
    for name, step in fields["steps"].items():
        if not isinstance(name, str) or not name.isidentifier() or name in TAKEN:
            raise UserError(
                f"{path}: a step cannot be called {name!r}; use letters, digits and _, but none of {', '.join(TAKEN)}."
            )
        if problem := _local_problem(step) if _is_local(step) else step_problem(step):
            raise UserError(f"{path}: steps.{name} {problem}.")
        steps[name] = step if _is_local(step) else DEFAULTS | step
    for place, (name, step) in enumerate(steps.items()):
        if not _is_local(step) and (problem := _reference_problem(name, step, steps, list(steps)[:place])):
            raise UserError(f"{path}: steps.{name} {problem}.")
    repeats = {repeat(name, rate): name for name, step in steps.items() for rate in step.get("mask", ())}
    if taken := next((each for each in repeats if each in steps), None):
        raise UserError(f"{path}: steps.{taken} has the name of a repeat of steps.{repeats[taken]}; rename it.")
    sentences = [name for name, step in steps.items() if step.get("parser") != "json"]
    return {"steps": steps, "columns": _columns(fields["columns"], [SEED, *sentences], path)}


def _is_local(step: Any) -> bool:
    """Return True for a step without the language model."""
    return isinstance(step, dict) and "names" in step


def _local_problem(step: dict[str, Any]) -> str | None:
    if set(step) != {"names"}:
        return "has names, so it replaces names and numbers without the language model and takes no other key"
    return None if texts(step["names"]) and len(set(step["names"])) > 1 else "needs names: a list of two or more names"


def step_problem(step: Any) -> str | None:
    """Return what is wrong with a step, to follow its name, or None."""
    if not isinstance(step, dict) or not set(step) >= STEP or set(step) - STEP - set(DEFAULTS):
        return f"must have the keys {', '.join(sorted(STEP))}, and no others but {', '.join(sorted(DEFAULTS))}"
    if not texts(step["instructions"]):
        return "needs instructions: a list of texts"
    pool = step["exemplars"]
    if not isinstance(pool, list) or not all(texts(pair) and len(pair) == 2 for pair in pool):
        return "needs exemplars: a list of pairs [sentence, answer]"
    if any("{sentence}" in text for text in (*step["instructions"], *(text for pair in pool for text in pair))):
        return "must not contain {sentence}: the seed sentence is the last message"
    if not _is_whole(step["draw"], 0, len(pool)):
        return f"has draw {step['draw']!r}, but must draw 0 to {len(pool)} of its {len(pool)} exemplars"
    if not _is_whole(step["sets"], 1, 100):
        return f"has sets {step['sets']!r}, but must have 1 to 100"
    if (parser := step.get("parser", PARSERS[0])) not in PARSERS:
        return f"has parser {parser!r}, but must have one of {', '.join(PARSERS)}"
    rates = step.get("mask", [])
    if not isinstance(rates, list) or not all(_is_number(rate) and 0 < rate <= 1 for rate in rates):
        return "needs mask: a list of shares of words above 0 and up to 1"
    if len({repeat("", rate) for rate in rates}) < len(rates):
        return "has two rates in mask that are the same percentage"
    if not _is_number(scale := step.get("guidance_scale", 1.0)) or not 0 <= scale <= 100:
        return f"has guidance_scale {scale!r}, but must have 0 to 100"
    return None


def _reference_problem(name: str, step: dict[str, Any], steps: dict[str, Any], earlier: list[str]) -> str | None:
    """Return which other step a step cannot refer to, or None."""
    if not isinstance(step["input"], str) or not (used := PLACEHOLDER.findall(step["input"])):
        return "needs input: a text with {sentence}, {masked}, or the answer of an earlier step in braces"
    known = [SEED, *([MASKED] if step["mask"] else []), *(other for other in earlier if not steps[other].get("mask"))]
    if unknown := [each for each in used if each not in known]:
        return f"has {{{unknown[0]}}} in its input, but only {', '.join(f'{{{each}}}' for each in known)} exist there"
    if step["mask"] and MASKED not in used:
        return "has mask, but no {masked} in its input"
    if (against := step["against"]) is None:
        return None
    other = steps.get(against, {"names": []}) if against != name else step
    if other is step or _is_local(other) or other["mask"]:
        return f"has against {against!r}, but must name another step that asks the language model, without mask"
    return None if other["input"] == step["input"] else f"needs the input of {against}, which it is against"


def _columns(columns: Any, known: list[str], path: Path) -> list[dict[str, str]]:
    given = columns if isinstance(columns, list) else [columns]
    for number, each in enumerate(given):
        where = f"columns[{number}]" if isinstance(columns, list) else "columns"
        if not isinstance(each, dict) or not {"anchor", "positive"} <= set(each) <= set(ROLES):
            raise UserError(f"{path}: {where} must name anchor and positive, and may name negative.")
        for role, step in each.items():
            if step not in known:
                raise UserError(f"{path}: {where}.{role} is {step!r}, but must be one of {', '.join(known)}.")
        if len(set(each.values())) < len(each):
            raise UserError(f"{path}: {where}: two roles have the same step; use another one.")
    if not given:
        raise UserError(f"{path}: columns must name anchor and positive, and may name negative.")
    return given


def repeat(name: str, rate: float) -> str:
    """Return the name of a step's repeat with a share of masked words, as a whole percentage: fill_20."""
    return f"{name}_{round(100 * rate)}"


def texts(value: Any) -> bool:
    """Return True for a list of texts that are not blank."""
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) and text.strip() for text in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
