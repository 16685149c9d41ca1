"""Files of genres and topics, from which the language model writes seed sentences: found by name or path, and checked.

Standard library and YAML only: the Snakefile imports this.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from rankrefine import yaml_file
from rankrefine.errors import UserError
from rankrefine.generate.recipes.recipe_file import _step_problem as step_problem
from rankrefine.generate.recipes.recipe_file import _texts as texts

FOLDER = Path(__file__).parent / "seed_sentences"
KEYS = ("genres", "topics", "topics_per_request", "sentences_per_request")
MOST = 100  # sentences in an answer


def find(name: str) -> Path:
    """Return the file of the recipe `name`, or `name` itself if it is a path to a YAML file.

    Raises:
        UserError: there is no such recipe.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not os.path.isfile(path):  # also False for a name that no file system can hold
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
        raise UserError(f"write.recipe: there is no recipe '{name}'; use {known}, or the path of a .yaml file.")
    return path


def digest(name: str) -> str:
    """SHA-256 of a recipe's file, for Snakemake's params."""
    return hashlib.sha256(find(name).read_bytes()).hexdigest()


def parse(content: bytes, path: Path) -> dict[str, Any]:
    """Return `KEYS` of a recipe's file; each genre has the keys of a step (see `recipe_file`).

    Raises:
        UserError: not YAML, or not such a recipe; the sentence names the key.
    """
    fields = yaml_file.parse(content, path)
    if not isinstance(fields, dict) or set(fields) != set(KEYS):
        keys = ", ".join(KEYS)
        raise UserError(f"{path} is not a recipe of seed sentences: it must have the keys {keys}, and no others.")
    if not isinstance(fields["genres"], dict) or not fields["genres"]:
        raise UserError(f"{path}: genres must be a mapping with at least one genre.")
    for name, genre in fields["genres"].items():
        if not isinstance(name, str) or not name.isidentifier():
            raise UserError(f"{path}: a genre cannot be called {name!r}; use letters, digits and _.")
        if problem := step_problem(genre):
            raise UserError(f"{path}: genres.{name} {problem}.")
    topics = fields["topics"]
    if not texts(topics) or len(set(topics)) < len(topics):
        raise UserError(f"{path}: topics must be a list of different texts.")
    for key, most in (("topics_per_request", len(topics)), ("sentences_per_request", MOST)):
        if not isinstance(fields[key], int) or not 1 <= fields[key] <= most:
            raise UserError(f"{path}: {key} is {fields[key]!r}, but must be 1 to {most}.")
    return fields
