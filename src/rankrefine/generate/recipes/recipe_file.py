"""Files of recipes: found by name or path, and checked. Standard library and YAML only: the Snakefile imports this."""

import hashlib
import os
from pathlib import Path
from typing import Any

from rankrefine import yaml_file
from rankrefine.errors import UserError

FOLDER = Path(__file__).parent
STEP = {"instructions", "exemplars", "draw", "sets"}
ROLES = ("anchor", "positive", "negative")
SEED = "sentence"  # the seed sentence, as the value of a column


def find(name: str) -> Path:
    """Return the file of the recipe `name`, or `name` itself if it is a path to a YAML file.

    Raises:
        UserError: there is no such recipe.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not os.path.isfile(path):  # also False for a name that no file system can hold
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
        raise UserError(
            f"examples.recipe: there is no recipe '{name}'; use none, import, {known}, or the path of a .yaml file."
        )
    return path


def digest(name: str) -> str:
    """SHA-256 of a recipe's file, for Snakemake's params."""
    return hashlib.sha256(find(name).read_bytes()).hexdigest()


def parse(content: bytes, path: Path) -> dict[str, Any]:
    """Return `steps` and `columns` of a recipe's file.

    Raises:
        UserError: not YAML, or not a recipe; the sentence names the key.
    """
    fields = yaml_file.parse(content, path)
    if not isinstance(fields, dict) or set(fields) != {"steps", "columns"}:
        raise UserError(f"{path} is not a recipe: it must have the keys steps and columns, and no others.")
    if not isinstance(fields["steps"], dict) or not fields["steps"]:
        raise UserError(f"{path}: steps must be a mapping with at least one step.")
    for name, step in fields["steps"].items():
        if not isinstance(name, str) or not name.isidentifier() or name == SEED:
            raise UserError(f"{path}: a step cannot be called {name!r}; use letters, digits and _, and not {SEED}.")
        if problem := _step_problem(step):
            raise UserError(f"{path}: steps.{name} {problem}.")
    _check_columns(fields["columns"], [SEED, *fields["steps"]], path)
    return fields


def _step_problem(step: Any) -> str | None:
    """Return what is wrong with a step, to follow its name, or None."""
    if not isinstance(step, dict) or set(step) != STEP:
        return f"must have the keys {', '.join(sorted(STEP))}, and no others"
    if not _texts(step["instructions"]):
        return "needs instructions: a list of texts"
    pool = step["exemplars"]
    if not isinstance(pool, list) or not all(_texts(pair) and len(pair) == 2 for pair in pool):
        return "needs exemplars: a list of pairs [sentence, answer]"
    if any("{sentence}" in text for text in (*step["instructions"], *(text for pair in pool for text in pair))):
        return "must not contain {sentence}: the seed sentence is the last message"
    if not isinstance(step["draw"], int) or not 0 <= step["draw"] <= len(pool):
        return f"has draw {step['draw']!r}, but must draw 0 to {len(pool)} of its {len(pool)} exemplars"
    if not isinstance(step["sets"], int) or not 1 <= step["sets"] <= 100:
        return f"has sets {step['sets']!r}, but must have 1 to 100"
    return None


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) and text.strip() for text in value)


def _check_columns(columns: Any, known: list[str], path: Path) -> None:
    if not isinstance(columns, dict) or not {"anchor", "positive"} <= set(columns) <= set(ROLES):
        raise UserError(f"{path}: columns must name anchor and positive, and may name negative.")
    for role, step in columns.items():
        if step not in known:
            raise UserError(f"{path}: columns.{role} is {step!r}, but must be one of {', '.join(known)}.")
    if len(set(columns.values())) < len(columns):
        raise UserError(f"{path}: two columns have the same values; use another step.")
