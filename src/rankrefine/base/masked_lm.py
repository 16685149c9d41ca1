"""Masked-LM term beside an objective: the encoder in training also predicts masked tokens (Devlin et al. 2019).

The head is that of the pre-trained transformer; it is trained, too, and not saved with the encoder.

Import this module only after `rankrefine.encoders.opening.go_offline`.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoConfig, AutoModelForMaskedLM, DataCollatorForLanguageModeling

from rankrefine import io
from rankrefine.errors import UserError, reason

SAFE = {"local_files_only": True, "trust_remote_code": False}
IGNORED = -100  # label of tokens that are not masked, for the library and for torch


class MaskedLM(nn.Module):
    """Mean cross-entropy of masked tokens (15 %, of which 80 % become the mask token and 10 % random ones).

    Args:
        encoder: The encoder in training, whose transformer is used.
        folder: Folder that it was opened from.
        bf16: Compute in bfloat16 autocast.

    Raises:
        UserError: see `check`; or the tokenizer has no mask token.
    """

    def __init__(self, encoder: SentenceTransformer, folder: Path, bf16: bool) -> None:
        super().__init__()
        check(folder)
        if encoder.tokenizer.mask_token is None:
            raise _missing(folder, "its tokenizer has no mask token")
        self.model, loading = AutoModelForMaskedLM.from_pretrained(
            _transformer(folder), use_safetensors=True, dtype=torch.float32, output_loading_info=True, **SAFE
        )
        prefix, transformer = self.model.base_model_prefix, encoder[0].auto_model
        if absent := sorted(name for name in loading["missing_keys"] if not name.startswith(f"{prefix}.")):
            raise _missing(folder, f"its files lack {absent[0]}")
        if type(self.model.base_model) is not type(transformer):
            raise _missing(folder, f"it is opened as {type(transformer).__name__}")
        setattr(self.model, prefix, transformer)
        self.model.tie_weights()
        self.mask, self.bf16 = DataCollatorForLanguageModeling(encoder.tokenizer), bf16

    def forward(self, features: Sequence[dict[str, Tensor]]) -> Tensor:
        """Compute the mean over all masked tokens of a batch, which are drawn anew each time."""
        total, count = torch.tensor(0.0), torch.tensor(0)
        for sentences in features:
            tokens = sentences["input_ids"]
            masked, labels = (each.to(tokens.device) for each in self.mask.torch_mask_tokens(tokens.cpu().clone()))
            inputs = {name: sentences[name] for name in ("attention_mask", "token_type_ids") if name in sentences}
            with torch.autocast(tokens.device.type, torch.bfloat16, enabled=self.bf16):
                logits = self.model(input_ids=masked, **inputs).logits
            total = total.to(tokens.device) + cross_entropy(logits.float().mT, labels, reduction="sum")
            count = count.to(tokens.device) + (labels != IGNORED).sum()
        return total / count.clamp(min=1)


def check(folder: Path) -> None:
    """Check, without loading weights, that an encoder has a masked-LM head.

    Raises:
        UserError: its architecture has no masked-LM class or requires custom code, or its files have no head.
    """
    transformer = _transformer(folder)
    try:
        config = AutoConfig.from_pretrained(transformer, **SAFE)
    except (OSError, ValueError, KeyError) as error:
        custom = "trust_remote_code" in str(error)
        raise _missing(folder, "it requires custom code, which is never run" if custom else reason(error)) from error
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        raise _missing(folder, f"there is none for the architecture {config.model_type}")
    with torch.device("meta"):
        model = AutoModelForMaskedLM.from_config(config, trust_remote_code=False)
    head = {name.partition(".")[0] for name, _ in model.named_parameters()} - {model.base_model_prefix}
    for file in transformer.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            head -= {name.partition(".")[0] for name in tensors.keys()}  # noqa: SIM118, not a dictionary
    if head:
        raise _missing(folder, f"its files lack {', '.join(sorted(head))}")


def _transformer(folder: Path) -> Path:
    """Return the folder of an encoder's transformer, which may be one of its own."""
    file = folder / "modules.json"
    return folder / io.read_json(file)[0]["path"] if file.is_file() else folder


def _missing(folder: Path, why: str) -> UserError:
    return UserError(
        f"base.mlm: {folder} has no masked-LM head ({why}); start from a pre-trained transformer with one, or set "
        "base.mlm to 0."
    )
