"""Open sentence-transformers encoders: offline, in float32, without pickled weights or custom code."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rankrefine.encoders.lengths import positions
from rankrefine.errors import UserError, reason

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)


def go_offline() -> None:
    """Disable the Hugging Face hub in this process; call this before the first import of a Hugging Face library."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # transformers would write its bars into log files
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # tokenizers would warn after every fork of a data loader


def open_encoder(
    path: Path,
    pooling: str = "model",
    prompt: str | None = None,
    threads: int | None = None,
    attention: str = "model",
) -> SentenceTransformer:
    """Open the encoder in the folder `path` in evaluation mode, on the GPU if there is one.

    All encoders are compared in float32, whatever the dtype of their files. Where there is no padding token, as in
    many language models, the end-of-text token takes its place.

    Args:
        path: A sentence-transformers folder with safetensors weights, or a bare transformer if `pooling` is given.
        pooling: Pooling of the token vectors; `model` keeps the encoder's own.
        prompt: Text that the encoder puts before every sentence; "" for none, None for the encoder's own default.
        threads: CPU threads of torch; None for torch's own choice.
        attention: `bidirectional` lets the tokens of a decoder attend to later ones; `model` keeps the encoder's own.

    Raises:
        UserError: the folder does not exist, has no pooling, is another kind of model, requires custom code, or its
            weights cannot be read; or the transformer lacks what `pooling` or `attention` needs.
    """
    check_encoder(path, pooling)
    go_offline()
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer

    from rankrefine.encoders.attention import set_bidirectional
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
    if hasattr(model.tokenizer, "all_special_ids"):
        _check_tokenizer(model.tokenizer, path)
    if not (path / "modules.json").is_file():
        # sentence-transformers would wrap every sentence in the chat template of a language model
        model[0].modality_config = {name: how for name, how in model[0].modality_config.items() if name != "message"}
    _limit_lengths(model, path)
    model = with_pooling(model.eval(), pooling)
    if attention == "bidirectional":
        set_bidirectional(model)
    set_prompt(model, prompt)
    return model


def _limit_lengths(model: SentenceTransformer, path: Path) -> None:
    """Truncate texts to the positions of the encoder; without this, longer ones end in an index error."""
    from sentence_transformers.base.modules import Transformer

    for module in model.modules():
        if not isinstance(module, Transformer):
            continue
        limit, own = positions(module.auto_model), module.max_seq_length
        if limit is not None and (own is None or own > limit):
            log.warning("%s has positions for %d tokens only; longer texts are truncated.", path, limit)
            module.max_seq_length = limit


def _check_tokenizer(tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        # transformers makes an empty tokenizer if the files are missing, and all sentences become equal
        raise UserError(f"{path} has no vocabulary: its tokenizer files are missing.")
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise UserError(f"{path} has no padding token; set pad_token in its tokenizer_config.json.")
        tokenizer.pad_token = tokenizer.eos_token


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
                "base.guide_pooling, examples.scorer_pooling, refine.teacher_pooling or evaluate.encoders (pooling), "
                "or save it as a sentence-transformers model."
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
