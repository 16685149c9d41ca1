"""Prompts that ask for a label of a pair of sentences: prompt templates with {first} and {second}, and labels.

The labels are answers of one token with a number each; `scoring.expected` makes a score of their likelihood.
"""

import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rankrefine import yaml_file
from rankrefine.errors import UserError, about
from rankrefine.llm import prompts
from rankrefine.llm.interface import Text
from rankrefine.llm.prompts import Prompt

FOLDER = Path(__file__).with_name("scoring_templates")
KEY = "examples.scoring_prompt"
SLOTS = ("{first}", "{second}")


@dataclass(frozen=True)
class PairPrompt(Prompt):
    """A prompt for two sentences."""

    labels: tuple[str, ...] = field(kw_only=True)
    values: tuple[float, ...] = field(kw_only=True)  # of the labels, from 0 to 1

    def fill(self, first: str, second: str | None = None) -> Text:
        """Return the prompt for a pair; for one text, which engines give to find the common beginning, it twice."""
        texts = dict(zip(SLOTS, (first, first if second is None else second), strict=True))

        def fill(content: str) -> str:  # both at once: a slot in a sentence is only text
            return re.sub("|".join(map(re.escape, SLOTS)), lambda slot: texts[slot[0]], content)

        if self.chat:
            return tuple(message | {"content": fill(message["content"])} for message in self.template)
        return fill(self.template)

    def describe(self) -> dict[str, Any]:
        """Return the fields of a record that name the prompt and its labels."""
        return super().describe() | {"labels": dict(zip(self.labels, self.values, strict=True))}


def find(name: str) -> Path:
    """Return the file of a scoring prompt; see `prompts.find`."""
    return prompts.find(name, FOLDER, KEY)


def digest(name: str) -> str:
    """SHA-256 of the file of a scoring prompt, for Snakemake's params."""
    return hashlib.sha256(find(name).read_bytes()).hexdigest()


def load(name: str) -> PairPrompt:
    """Read and check a scoring prompt.

    Raises:
        UserError: no such file, not YAML, not a prompt with {first} and {second}, or unusable labels.
    """
    path = find(name)
    content = path.read_bytes()
    with about(KEY):
        fields = yaml_file.parse(content, path)
        if not isinstance(fields, dict) or set(fields) not in ({"messages", "labels"}, {"text", "labels"}):
            form = "`labels` and either a list `messages` or a string `text`"
            raise UserError(f"{path} is not a scoring prompt: it needs {form}.")
        labels, template = _labels(fields["labels"], path), prompts.template(fields, path, SLOTS)
    low, high = min(labels.values()), max(labels.values())
    values = tuple((value - low) / (high - low) for value in labels.values())
    digest = hashlib.sha256(content).hexdigest()
    return PairPrompt(path.stem, digest, template, KEY, labels=tuple(labels), values=values)


def _labels(labels: Any, path: Path) -> dict[str, float]:
    """Return the labels with their values."""
    if not isinstance(labels, dict) or not all(isinstance(label, str) and label for label in labels):
        raise UserError(f'{path}: labels must be a mapping of texts in quotation marks, such as {{"0": 0, "1": 1}}.')
    for label, value in labels.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{path}: the value of label '{label}' is {value!r}, which is not a number.")
    if len(set(labels.values())) < 2:
        raise UserError(f"{path}: labels must be at least two, with different values.")
    return labels
