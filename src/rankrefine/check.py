"""Early check of models, prompts and development data, before hours of generation; loads no weights.

A run starts with it; each stage still checks what it opens.
"""

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.config.cross_field import WITH_NEGATIVES
from rankrefine.config.views import LIKELIHOOD, writes_examples, writes_seeds
from rankrefine.encoders.opening import check_encoder, go_offline
from rankrefine.errors import UserError, about, reason
from rankrefine.generate.run import load_recipe
from rankrefine.llm import prompts, scoring_prompts
from rankrefine.training import development as development_data

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
    """Check models, prompts and development data before anything long runs.

    Args:
        config: Configuration.
        model: Manifest of the base encoder.
        encoders: Manifests of the guides, the scorer, the teachers and the other encoders to evaluate.
        poolings: Pooling of each of `encoders`.
        development: Manifest of the development data, if there are any.
        llm: Manifest of the language model, if the engine needs one.
        output: Record (JSON) to write.

    Raises:
        UserError: one of them cannot be used.
    """
    base = load_manifest(model).path
    others = [load_manifest(manifest).path for manifest in encoders]
    for path, pooling in zip([base, *others], [config["base"]["pooling"], *poolings], strict=True):
        check_encoder(path, pooling)
        if pooling == "cls_head":
            check_head(path)
    if config["base"]["mlm"]:
        check_masked_lm(base)
    for name, changes in config["refine"]["experiments"].items():
        check_experiment(name, config["refine"] | changes, base)
    pairs = len(development_data.read(load_manifest(development).path)[0]) if development else 0
    asked = prompts_of(config)  # also for an engine without a model: the files are read
    if llm is not None:
        folder = load_manifest(llm).path
        for prompt in asked:
            check_language_model(folder, prompt)
        check_tokens(folder, asked)
    checked = [path for path in (model, *encoders, development, llm) if path]
    io.write_json(output, {"checked": [str(path) for path in checked], "pairs": pairs})
    log.info("check: models are usable; %d development pairs.", pairs)


def check_head(folder: Path) -> None:
    """Raise a `UserError` for a transformer without head weights, which transformers would initialise at random."""
    from safetensors import safe_open

    for file in folder.rglob("*.safetensors"):
        with safe_open(file, framework="numpy") as tensors:
            if any(name.endswith("pooler.dense.weight") for name in tensors.keys()):  # noqa: SIM118, not a dictionary
                return
    raise UserError(f"{folder} has no head (pooler.dense), which pooling cls_head needs; use mean or cls.")


def check_masked_lm(folder: Path) -> None:
    """Raise a `UserError` for a base encoder without a masked-LM head."""
    go_offline()
    from rankrefine.base import masked_lm

    masked_lm.check(folder)


def check_experiment(name: str, settings: dict[str, Any], encoder: Path) -> None:
    """Raise a `UserError` for more layers or dimensions than config.json of the encoder has, or a missing tracker."""
    file = encoder / "config.json"
    fields = io.read_json(file) if file.is_file() else {}
    layers, width = fields.get("num_hidden_layers"), fields.get("hidden_size")
    where = f"refine.experiments.{name}"
    if layers and settings["layers"] > layers:
        raise UserError(f"{where}: layers is {settings['layers']}, but the encoder has {layers} layers.")
    if width and (larger := [dim for dim in settings["matryoshka"] if dim > width]):
        raise UserError(f"{where}: matryoshka has {larger[0]}, but the encoder has {width} dimensions.")
    if missing := [tracker for tracker in settings["report_to"] if find_spec(tracker) is None]:
        raise UserError(f"refine.report_to: {missing[0]} is not installed; run: pip install {missing[0]}")


def prompts_of(config: dict[str, Any]) -> list[prompts.Prompt]:
    """Return the prompts of the run: of lists, seed sentences, training examples and scorer.

    Raises:
        UserError: the file of one of them is not what it must be.
    """
    found, section = [], config["examples"]
    if config["lists"]["source"] == "generate":
        found.append(prompts.load(config["generate"]["prompt"]))
    if writes_seeds(config):
        found += load_recipe({key: config[key] for key in ("seed", "write")}).prompts
    if writes_examples(config):
        recipe = load_recipe({key: config[key] for key in ("seed", "examples")})
        check_negatives(recipe, config["base"]["objective"])
        found += recipe.prompts
    if section["scorer"] == LIKELIHOOD:
        found.append(scoring_prompts.load(section["scoring_prompt"]))
    return found


def check_negatives(recipe: Any, objective: str) -> None:
    """Raise a `UserError` for a recipe of examples without a negative, if the objective needs one in each."""
    if objective in WITH_NEGATIVES and not all("negative" in roles for roles in recipe.examples):
        raise UserError(
            f"examples.recipe: base.objective {objective} needs a negative in each example, and {recipe.name} writes "
            "examples without one; use another recipe or objective."
        )


def check_language_model(folder: Path, prompt: prompts.Prompt) -> None:
    """Raise a `UserError` if weights or tokenizer are missing, or the chat template that a chat prompt needs."""
    if not any(folder.glob("*.safetensors")):
        gguf = next(folder.glob("*.gguf"), None)
        hint = f"give the path of {gguf} itself" if gguf else "convert the model first"
        raise UserError(f"generate.model: {folder} has no .safetensors weights; {hint}.")
    file = folder / "tokenizer_config.json"
    if not file.is_file():
        raise UserError(f"generate.model: {folder} has no tokenizer (tokenizer_config.json).")
    templates = [*folder.glob("chat_template.*"), *folder.glob("additional_chat_templates/*")]
    if prompt.chat and not templates and "chat_template" not in io.read_json(file):
        raise UserError(
            f"generate.model: {folder} has no chat template, which {prompt.key} ({prompt.name}) needs; use an "
            "instruction-tuned model, or a plain prompt."
        )


def check_tokens(folder: Path, asked: Sequence[prompts.Prompt]) -> None:
    """Raise a `UserError` if the tokenizer cannot be opened, its chat template does not take a prompt, or a label is
    not one token.
    """
    from rankrefine.llm.tokens import folds_system, label_tokens, open_tokenizer

    try:
        tokenizer = open_tokenizer(folder)
    except Exception as error:  # the tokenizers library raises this class itself for a damaged file
        raise UserError(f"generate.model: the tokenizer in {folder} cannot be opened: {reason(error)}.") from error
    if folds := folds_system(tokenizer, asked):
        log.info("check: the chat template takes no system message; it goes into the next user message.")
    for prompt in asked:
        if isinstance(prompt, scoring_prompts.PairPrompt):
            with about(prompt.key):
                label_tokens(tokenizer, [prompt.fill("A sentence.")], prompt.labels, folds)
