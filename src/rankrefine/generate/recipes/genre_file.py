"""Files of genres and topics, from which the language model writes seed sentences: found by name or path, and checked.

Standard library and YAML only: the Snakefile imports this.
"""

import hashlib
from pathlib import Path
from typing import Any

from rankrefine import yaml_file
from rankrefine.errors import UserError
from rankrefine.generate.recipes.recipe_file import STEP, step_problem, texts

FOLDER = Path(__file__).parent / "seed_sentences"
KEYS = ("genres", "topics", "topics_per_request", "sentences_per_request")
MOST = 100  # sentences in an answer


def find(name: str) -> Path:
    """Return the file of the recipe `name`, or `name` itself if it is a path to a YAML file.

    Raises:
        UserError: there is no such recipe.
    """
    return yaml_file.find(name, FOLDER, "write.recipe", "recipe")


def digest(name: str) -> str:
    """SHA-256 of a recipe's file, for Snakemake's params."""
    return read(name)[1]


def read(name: str) -> tuple[dict[str, Any], str]:
    """Return `KEYS` of a recipe's file, and its SHA-256; each genre has the keys `STEP` (see `recipe_file`).

    Raises:
        UserError: there is no such recipe, or its file is not one; the sentence names the key.
    """
    path = find(name)
    content = path.read_bytes()
    return check(yaml_file.parse(content, path), path), hashlib.sha256(content).hexdigest()


def check(fields: Any, path: Path) -> dict[str, Any]:
    """Return the content of a recipe's file.

    Raises:
        UserError: this is not such a recipe.
    """
    if not isinstance(fields, dict) or set(fields) != set(KEYS):
        keys = ", ".join(KEYS)
        raise UserError(f"{path} is not a recipe of seed sentences: it must have the keys {keys}, and no others.")
    if not isinstance(fields["genres"], dict) or not fields["genres"]:
        raise UserError(f"{path}: genres must be a mapping with at least one genre.")
    for name, genre in fields["genres"].items():
        if not isinstance(name, str) or not name.isidentifier():
            raise UserError(f"{path}: a genre cannot be called {name!r}; use letters, digits and _.")
        if not isinstance(genre, dict) or set(genre) != STEP:
            raise UserError(f"{path}: genres.{name} must have the keys {', '.join(sorted(STEP))}, and no others.")
        if problem := step_problem(genre):
            raise UserError(f"{path}: genres.{name} {problem}.")
    topics = fields["topics"]
    if not texts(topics) or len(set(topics)) < len(topics):
        raise UserError(f"{path}: topics must be a list of different texts.")
    for key, most in (("topics_per_request", len(topics)), ("sentences_per_request", MOST)):
        if type(fields[key]) is not int or not 1 <= fields[key] <= most:
            raise UserError(f"{path}: {key} is {fields[key]!r}, but must be 1 to {most}.")
    return fields
