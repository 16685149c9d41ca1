"""Opening a language model with transformers: offline, from safetensors."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from rankrefine.errors import UserError, reason
from rankrefine.llm.tokens import open_tokenizer
from rankrefine.llm.transformers.precision import choose_device, choose_dtype


def open_model(
    folder: Path, device: str, dtype: str, threads: int | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the model in `folder`, in evaluation mode, and its tokenizer.

    Args:
        folder: a transformers folder.
        device: "auto", "cpu" or "cuda".
        dtype: "auto" or the name of a torch dtype.
        threads: CPU threads of torch (default: its own choice).

    Raises:
        UserError: the folder contains no language model, or one that cannot be used here; no GPU for device cuda.
    """
    if threads:
        torch.set_num_threads(threads)
    place = choose_device(device)
    try:
        tokenizer = open_tokenizer(folder)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=choose_dtype(dtype, place), local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"generate.model: {folder} cannot be loaded as a causal language model: {reason(error)}."
        ) from error
    try:
        return model.to(place).eval(), tokenizer
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"Out of memory on {torch.cuda.get_device_name()} while loading the language model."
        ) from error
