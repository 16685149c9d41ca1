"""`python -m rankrefine check`: models and development data, looked at before hours of generation; loads none of them.

A run starts with it; each stage still checks what it opens.
"""

from __future__ import annotations

import logging
from pathlib import Path

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.encoder import check_encoder
from rankrefine.errors import UserError
from rankrefine.generate import prompts
from rankrefine.refine.development import read as read_development

log = logging.getLogger(__name__)


def run(
    model: Path,
    pooling: str,
    teachers: list[Path],
    teacher_pooling: str,
    development: Path | None,
    llm: Path | None,
    prompt: str,
    output: Path,
) -> None:
    """Check the manifests' folders and write a record of what was checked.

    Args:
        model: Manifest of the base encoder.
        pooling: What it will get; `model` is its own.
        teachers: Manifests of the teachers.
        teacher_pooling: What they will get.
        development: Manifest of the development data, if there is any.
        llm: Manifest of the language model; None with the fake engine.
        prompt: Name or path of the prompt template.

    Raises:
        UserError: one of them cannot do its part.
    """
    check_encoder(load_manifest(model).path, bare=pooling != "model")
    for manifest in teachers:
        check_encoder(load_manifest(manifest).path, bare=teacher_pooling != "model")
    pairs = len(read_development(load_manifest(development).path)[0]) if development else 0
    template = prompts.load(prompt)
    if llm is not None:
        check_language_model(load_manifest(llm).path, template)
    checked = [path for path in (model, *teachers, development, llm) if path]
    io.write_json(output, {"checked": [str(path) for path in checked], "pairs": pairs})
    log.info("check: models are usable; %d development pairs.", pairs)


def check_language_model(folder: Path, prompt: prompts.Prompt) -> None:
    """Refuse a folder that no engine could use with this prompt, from its files' names and JSON alone.

    Raises:
        UserError: no safetensors weights, no tokenizer, or a chat for a model without a chat template.
    """
    if not any(folder.glob("*.safetensors")):
        held = next(folder.glob("*.gguf"), None)
        hint = f"name the file {held} itself" if held else "convert the model first"
        raise UserError(f"generate.model: {folder} holds no .safetensors weights; {hint}.")
    settings = folder / "tokenizer_config.json"
    if not settings.is_file():
        raise UserError(f"generate.model: {folder} has no tokenizer (tokenizer_config.json).")
    templates = [*folder.glob("chat_template.*"), *folder.glob("additional_chat_templates/*")]
    if prompt.chat and not templates and "chat_template" not in io.read_json(settings):
        raise UserError(
            f"generate.model: {folder} has no chat template, which generate.prompt ({prompt.name}) needs; take an "
            "instruction-tuned model, or a plain prompt such as plain_few_shot."
        )
