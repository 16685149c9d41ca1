"""`python -m rankrefine check`: models and development data, looked at before hours of generation; loads none of them.

A run starts with it; each stage still checks what it opens.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.config import load as configuration
from rankrefine.encoders.opening import check_encoder
from rankrefine.errors import UserError
from rankrefine.llm import prompts
from rankrefine.training.development import read as read_development

log = logging.getLogger(__name__)


def run(
    config: dict[str, Any],
    model: Path,
    encoders: list[Path],
    poolings: list[str],
    development: Path | None,
    llm: Path | None,
    output: Path,
) -> None:
    """Check the manifests' folders, and what the experiments want of them; write a record of what was checked.

    Args:
        config: Completed configuration.
        model: Manifest of the base encoder.
        encoders: Manifests of the teachers and of the other encoders that are evaluated.
        poolings: How each of them is pooled.
        development: Manifest of the development data, if there is any.
        llm: Manifest of the language model; None with the fake engine.

    Raises:
        UserError: one of them cannot do its part.
    """
    base = load_manifest(model).path
    others = [load_manifest(manifest).path for manifest in encoders]
    for path, pooling in zip([base, *others], [config["base"]["pooling"], *poolings], strict=True):
        check_encoder(path, pooling)
        if pooling == "cls_head":
            check_head(path)
    for name in config["refine"]["experiments"]:
        check_experiment(name, configuration.experiment(config, name), base)
    pairs = len(read_development(load_manifest(development).path)[0]) if development else 0
    template = prompts.load(config["generate"]["prompt"])
    if llm is not None:
        check_language_model(load_manifest(llm).path, template)
    checked = [path for path in (model, *encoders, development, llm) if path]
    io.write_json(output, {"checked": [str(path) for path in checked], "pairs": pairs})
    log.info("check: models are usable; %d development pairs.", pairs)


def check_head(folder: Path) -> None:
    """Refuse a transformer without the weights of a head: transformers would draw them at random.

    Raises:
        UserError: no safetensors file of the folder holds them.
    """
    from safetensors import safe_open

    for file in folder.rglob("*.safetensors"):
        with safe_open(file, framework="numpy") as tensors:
            if any(name.endswith("pooler.dense.weight") for name in tensors.keys()):  # noqa: SIM118, it is no dictionary
                return
    raise UserError(f"{folder} holds no head (pooler.dense), which the pooling cls_head needs; choose mean or cls.")


def check_experiment(name: str, settings: dict[str, Any], encoder: Path) -> None:
    """Refuse settings that this encoder cannot have, as far as its config.json says, and trackers that are not there.

    Raises:
        UserError: more layers or dimensions than it has, or a tracker's package is missing.
    """
    file = encoder / "config.json"
    held = io.read_json(file) if file.is_file() else {}
    layers, width = held.get("num_hidden_layers"), held.get("hidden_size")
    where = f"refine.experiments.{name}"
    if layers and settings["layers"] > layers:
        raise UserError(f"{where}: layers is {settings['layers']} but the encoder has {layers} layers.")
    if width and (wide := [dim for dim in settings["matryoshka"] if dim > width]):
        raise UserError(f"{where}: matryoshka holds {wide[0]} but the encoder has {width} dimensions.")
    if missing := [tracker for tracker in settings["report_to"] if find_spec(tracker) is None]:
        raise UserError(f"refine.report_to: {missing[0]} is not installed here; pip install {missing[0]}.")


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
