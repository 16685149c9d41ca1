"""Open sentence-transformers encoders: offline, in float32, without pickled weights or custom code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rankrefine.errors import UserError, reason

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def go_offline() -> None:
    """Disable the Hugging Face hub in this process; call this before the first import of a Hugging Face library."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # transformers would write its bars into log files
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # tokenizers would warn after every fork of a data loader


def open_encoder(
    path: Path, pooling: str = "model", prompt: str | None = None, threads: int | None = None
) -> SentenceTransformer:
    """Open the encoder in the folder `path` in evaluation mode, on the GPU if there is one.

    All encoders are compared in float32, whatever the dtype of their files.

    Args:
        path: A sentence-transformers folder with safetensors weights, or a bare transformer if `pooling` is given.
        pooling: Pooling of the token vectors; `model` keeps the encoder's own.
        prompt: Text that the encoder puts before every sentence; "" for none, None for the encoder's own default.
        threads: CPU threads of torch; None for torch's own choice.

    Raises:
        UserError: the folder does not exist, has no pooling, is another kind of model, requires custom code, or its
            weights cannot be read; or the transformer lacks the head that `pooling` needs.
    """
    check_encoder(path, pooling)
    go_offline()
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer

    from rankrefine.encoders.pooling import set_prompt, with_pooling

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        model = SentenceTransformer(
            str(path),
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},  # pickles could run code
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, SafetensorError) as error:
        custom = "trust_remote_code" in str(error)
        cause = "it requires custom code, which is never run" if custom else reason(error)
        raise UserError(f"{path} cannot be opened as a sentence-transformers model: {cause}.") from error
    if hasattr(model.tokenizer, "all_special_ids") and len(model.tokenizer) <= len(model.tokenizer.all_special_ids):
        # transformers makes an empty tokenizer if the files are missing, and all sentences become equal
        raise UserError(f"{path} has no vocabulary: its tokenizer files are missing.")
    model = with_pooling(model.eval(), pooling)
    set_prompt(model, prompt)
    return model


def check_encoder(path: Path, pooling: str = "model") -> None:
    """Check that `path` is a complete sentence-transformers folder, from its JSON files alone.

    sentence-transformers would silently add an untrained mean pooling to a bare transformer; here that is an error
    unless `pooling` replaces it.

    Raises:
        UserError: see `open_encoder`.
    """
    if not path.is_dir():
        raise UserError(f"Model folder {path} does not exist.")
    if not (path / "modules.json").is_file():
        if not (path / "config.json").is_file():
            raise UserError(f"{path} is not a sentence-transformers model: it has no modules.json.")
        if pooling == "model":
            raise UserError(
                f"{path} is a bare transformer (it has no modules.json): set its pooling with base.pooling, "
                "base.guide_pooling, refine.teacher_pooling or evaluate.encoders (pooling), or save it as a "
                "sentence-transformers model."
            )
        return
    kind = _json(path / "config_sentence_transformers.json", {}).get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        raise UserError(f"{path} is a {kind}; a SentenceTransformer, with one vector per sentence, is required.")
    modules = [str(module.get("type", "")).rpartition(".")[2] for module in _json(path / "modules.json", [])]
    if "Transformer" in modules and "Pooling" not in modules and pooling == "model":
        raise UserError(f"{path} has no pooling among its modules ({', '.join(modules)}); add one and save it again.")


def _json(path: Path, default: dict | list) -> dict | list:
    """Return the content of a JSON file, of the type of `default`; a missing file gives `default`."""
    if not path.is_file():
        return default
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}).") from error
    if not isinstance(content, type(default)):
        raise UserError(f"{path} must contain a JSON {'list' if isinstance(default, list) else 'object'}.")
    return content
