"""Opening a language model with transformers: offline, from safetensors."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from rankrefine.errors import UserError, reason
from rankrefine.llm.tokens import open_tokenizer


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
    place = _device(device)
    try:
        tokenizer = open_tokenizer(folder)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=_dtype(dtype, place), local_files_only=True, use_safetensors=True
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


def _device(name: str) -> torch.device:
    """Resolve "auto", "cpu" or "cuda" to a device."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("generate.device is cuda, but torch finds no CUDA GPU; set it to auto or cpu.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _dtype(name: str, device: torch.device) -> torch.dtype:
    """Resolve the name of a torch dtype; "auto" is bfloat16 if the device computes in it."""
    if name != "auto":
        return getattr(torch, name)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    # without AVX512-BF16 or AMX, bfloat16 is emulated and slower than float32
    has_units = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if has_units and torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32
