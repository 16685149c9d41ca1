"""Opens sentence-transformers folders, the one way the project does it: offline, without foreign code, in float32."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rankrefine.errors import UserError, reason

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def go_offline() -> None:
    """Switch the hub off for this process. Call it before the first import of a Hugging Face library."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # transformers draws its own even into log files
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # else tokenizers warns after every fork of a data loader


def open_encoder(path: Path, threads: int | None = None, bare: bool = False) -> SentenceTransformer:
    """The encoder in the folder `path`, on the GPU where there is one, in evaluation mode and float32.

    Float32 whatever the file holds, so that base, teacher and refined encoder are compared in one number format.

    Args:
        path: A sentence-transformers folder with safetensors weights.
        threads: Processor threads for torch (default: torch's own choice).
        bare: Take a transformer without pooling, too; it gets one that the caller replaces.

    Raises:
        UserError: no such folder, a transformer without pooling, another kind of model, code of its own, or weights
            that cannot be read.
    """
    check_encoder(path, bare)
    go_offline()
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        model = SentenceTransformer(
            str(path),
            local_files_only=True,
            trust_remote_code=False,
            # no pickled weights, which could run code
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{path} cannot be opened as a sentence-transformers model: {_reason(error)}.") from error
    if hasattr(model.tokenizer, "all_special_ids") and len(model.tokenizer) <= len(model.tokenizer.all_special_ids):
        # transformers makes an empty tokenizer where the files are missing, and all sentences become equal
        raise UserError(f"{path} has no vocabulary: its tokenizer files are missing.")
    return model.eval()


def shorten(model: SentenceTransformer, layers: int) -> None:
    """Keep the first `layers` layers of the encoder's transformer.

    Raises:
        UserError: it has fewer, or they are not found.
    """
    from torch import nn

    transformer = model[0].auto_model
    held = transformer.config.num_hidden_layers
    if layers > held:
        raise UserError(f"refine.layers is {layers} but the encoder has {held} layers.")
    stacks = [
        (parent, name)
        for parent in transformer.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == held
    ]
    if len(stacks) != 1:
        raise UserError(f"refine.layers: the layers of this encoder ({transformer.config.model_type}) are not found.")
    parent, name = stacks[0]
    setattr(parent, name, getattr(parent, name)[:layers])
    transformer.config.num_hidden_layers = layers
    if kinds := getattr(transformer.config, "layer_types", None):
        transformer.config.layer_types = kinds[:layers]


def check_encoder(path: Path, bare: bool = False) -> None:
    """Refuse what is no complete sentence-transformers folder, from its JSON files alone.

    sentence-transformers itself would put an untrained mean pooling on a bare transformer and go on; `bare` lets it.

    Raises:
        UserError: see `open_encoder`.
    """
    if not path.is_dir():
        raise UserError(f"There is no model folder {path}.")
    if not (path / "modules.json").is_file():
        if (path / "config.json").is_file():
            if bare:
                return
            raise UserError(
                f"{path} is a bare transformer (it has no modules.json): choose its pooling with base.pooling, "
                "refine.teacher_pooling or evaluate.encoders (pooling), or save it as a sentence-transformers "
                "model first."
            )
        raise UserError(f"{path} is not a sentence-transformers model: it has no modules.json.")
    kind = _json(path / "config_sentence_transformers.json", {}).get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        raise UserError(f"{path} is a {kind}; only a SentenceTransformer gives one vector per sentence.")
    modules = [str(module.get("type", "")).rpartition(".")[2] for module in _json(path / "modules.json", [])]
    if "Transformer" in modules and "Pooling" not in modules and not bare:
        raise UserError(f"{path} has no pooling among its modules ({', '.join(modules)}): add one and save it again.")


def _reason(error: Exception) -> str:
    """Why loading failed, in one line."""
    if "trust_remote_code" in str(error):
        return "it brings code of its own, which is never run here"
    return reason(error)


def _json(path: Path, absent: dict | list) -> dict | list:
    """The content of a JSON file, which must be of the type of `absent`; `absent` where there is no such file."""
    if not path.is_file():
        return absent
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}).") from error
    if not isinstance(content, type(absent)):
        raise UserError(f"{path} does not hold a JSON {'list' if isinstance(absent, list) else 'object'}.")
    return content
