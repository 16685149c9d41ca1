"""Prompt templates: YAML files in which `{sentence}` is replaced by the sentence to rewrite (or other slots by texts).

Chats (`messages`) are for instruction-tuned models, with the model's chat template. Plain text (`text`) is for base
models: it ends where the completion begins, and a newline ends the completion.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rankrefine import yaml_file
from rankrefine.errors import UserError
from rankrefine.llm.interface import Text

FOLDER = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Prompt:
    """A prompt template: chat messages or plain text."""

    name: str
    sha256: str  # of its file
    template: Text
    key: str = "generate.prompt"  # of the configuration, for messages

    @property
    def chat(self) -> bool:
        """True for a chat, False for plain text."""
        return not isinstance(self.template, str)

    @property
    def shown(self) -> str:
        """The template as readable text, for records."""
        if self.chat:
            return "\n".join(f"{message['role']}: {message['content']}" for message in self.template)
        return self.template

    def describe(self) -> dict[str, str]:
        """Return the fields of a record that name the template."""
        return {"prompt": self.name, "prompt_sha256": self.sha256, "prompt_text": self.shown}

    def fill(self, sentence: str) -> Text:
        """Return the prompt for `sentence`."""
        if self.chat:
            return tuple(m | {"content": m["content"].replace("{sentence}", sentence)} for m in self.template)
        return self.template.replace("{sentence}", sentence)


def fold(text: Text) -> Text:
    """Return a chat without system messages: the content of each begins the next user message. Keep plain text."""
    if isinstance(text, str):
        return text
    folded, contents = [], []
    for message in text:
        if message["role"] == "system":
            contents.append(message["content"])
        elif message["role"] == "user":
            folded.append(message | {"content": "\n\n".join([*contents, message["content"]])})
            contents = []
        else:
            folded.append(message)
    return tuple(folded)


def find(name: str, folder: Path = FOLDER, key: str = "generate.prompt") -> Path:
    """Return the file of the template `name` in `folder`, or `name` itself if it is a path to a YAML file.

    Raises:
        UserError: there is no such template; the message names the `key` of the configuration.
    """
    return yaml_file.find(name, folder, key, "prompt template")


def digest(name: str) -> str:
    """SHA-256 of a template's file, for Snakemake's params."""
    return hashlib.sha256(find(name).read_bytes()).hexdigest()


def load(name: str) -> Prompt:
    """Read and check a template.

    Raises:
        UserError: no such template, not YAML, a key twice, or neither the form of few_shot.yaml nor of
            plain_few_shot.yaml.
    """
    path = find(name)
    content = path.read_bytes()
    fields = yaml_file.parse(content, path)
    if not isinstance(fields, dict) or set(fields) not in ({"messages"}, {"text"}):
        raise UserError(f"{path} is not a prompt template: it needs either a list `messages` or a string `text`.")
    return Prompt(path.stem, hashlib.sha256(content).hexdigest(), template(fields, path))


def template(fields: dict[str, Any], path: Path, slots: Sequence[str] = ("{sentence}",)) -> Text:
    """Return the checked chat or text of a file, whose `fields` have `messages` or `text`.

    Raises:
        UserError: it is not of the form of few_shot.yaml or plain_few_shot.yaml, with these slots in their place.
    """
    return _plain(fields["text"], path, slots) if "text" in fields else _chat(fields["messages"], path, slots)


def _chat(messages: Any, path: Path, slots: Sequence[str]) -> tuple[dict[str, str], ...]:
    try:
        pairs = tuple({"role": str(m["role"]), "content": str(m["content"])} for m in messages)
    except (TypeError, KeyError) as error:
        raise UserError(f"{path} is not a prompt template: every message needs a role and a content.") from error
    if not pairs or pairs[-1]["role"] != "user" or not all(slot in pairs[-1]["content"] for slot in slots):
        raise UserError(f"{path}: the last message must have the role user and contain {' and '.join(slots)}.")
    if any(slot in message["content"] for message in pairs[:-1] for slot in slots):
        raise UserError(f"{path}: only the last message may contain {' and '.join(slots)}.")
    return pairs


def _plain(text: Any, path: Path, slots: Sequence[str]) -> str:
    if not isinstance(text, str) or not all(slot in text for slot in slots):
        raise UserError(f"{path}: `text` must be a string that contains {' and '.join(slots)}.")
    if text != text.rstrip():
        # most tokenizers put a space before the next word, so a space here would be a second one
        raise UserError(f"{path}: `text` must not end with a space or a newline; write it as a block with `|-`.")
    return text
