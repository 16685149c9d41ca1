"""Device and dtype of a language model."""

import torch

from rankrefine.errors import UserError


def choose_device(name: str) -> torch.device:
    """Resolve "auto", "cpu" or "cuda" to a device."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("generate.device is cuda, but torch finds no CUDA GPU; set it to auto or cpu.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Resolve the name of a torch dtype; "auto" is bfloat16 if the device computes in it."""
    if name != "auto":
        return getattr(torch, name)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if _bfloat16_units() else torch.float32  # without units it is emulated and slower


def instructions() -> list[str]:
    """Return the name of the processor's instructions that torch uses, as far as it is known."""
    capability = torch.backends.cpu.get_cpu_capability()
    return _bfloat16_units()[:1] or [name for name in [capability] if name != "DEFAULT"]


def _bfloat16_units() -> list[str]:
    """Return the processor's units for bfloat16, the fastest first."""
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return []
    units = {"AMX": torch.cpu._is_amx_tile_supported(), "AVX512-BF16": torch.cpu._is_avx512_bf16_supported()}
    return [name for name, is_there in units.items() if is_there]
