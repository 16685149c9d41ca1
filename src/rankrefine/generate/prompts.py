"""Prompt templates: YAML files with chat messages in which `{sentence}` stands for the sentence to rewrite."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import yaml

from rankrefine.errors import UserError

FOLDER = Path(__file__).with_name("prompts")


@dataclass(frozen=True)
class Prompt:
    """A prompt template. `sha256` is of the file's content and goes into every artefact."""

    name: str
    sha256: str
    messages: tuple[dict[str, str], ...]

    def fill(self, sentence: str) -> tuple[dict[str, str], ...]:
        """The chat messages that ask for a rewrite of `sentence`."""
        return tuple(
            message | {"content": message["content"].replace("{sentence}", sentence)} for message in self.messages
        )


def find(name: str) -> Path:
    """The file of the template called `name`, or `name` itself if it is a path to a YAML file.

    Raises:
        UserError: there is no such template.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.yaml")))
        raise UserError(f"generate.prompt: there is no template '{name}'; there are: {known}, or give a .yaml file.")
    return path


def digest(name: str) -> str:
    """SHA-256 of a template's file, for Snakemake's params."""
    return hashlib.sha256(find(name).read_bytes()).hexdigest()


def load(name: str) -> Prompt:
    """Read and check a template.

    Raises:
        UserError: no such template, or one that does not have the form described in prompts/few_shot.yaml.
    """
    path = find(name)
    content = path.read_bytes()
    try:
        messages = yaml.safe_load(content)["messages"]
        pairs = tuple({"role": str(m["role"]), "content": str(m["content"])} for m in messages)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise UserError(f"{path} is no prompt template: it needs a list `messages` of role and content.") from error
    if not pairs or pairs[-1]["role"] != "user" or "{sentence}" not in pairs[-1]["content"]:
        raise UserError(f"{path}: the last message must be of role user and hold {{sentence}}.")
    if any("{sentence}" in message["content"] for message in pairs[:-1]):
        raise UserError(f"{path}: only the last message may hold {{sentence}}.")
    return Prompt(path.stem, hashlib.sha256(content).hexdigest(), pairs)
