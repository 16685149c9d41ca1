"""LoRA adapters (Hu et al. 2021) through peft: small matrices beside frozen layers, merged into them in the end."""

from __future__ import annotations

import copy
from pathlib import Path

from peft import LoraConfig, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from torch import nn


def add(model: SentenceTransformer, rank: int) -> None:
    """Freeze the encoder and put adapters of `rank` beside all linear layers of its transformer, the head excepted."""
    layers = [
        name
        for name, module in model[0].auto_model.named_modules()
        if isinstance(module, nn.Linear) and not name.startswith("pooler.")
    ]
    model.add_adapter(LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=layers))
    for name, value in model.named_parameters():
        value.requires_grad_("lora_" in name)


def load(model: SentenceTransformer, checkpoint: Path) -> bool:
    """Put the adapters of a checkpoint into a model that has adapters; False if it has none."""
    if not _has_adapters(model):
        return False
    held = load_file(checkpoint / SAFETENSORS_WEIGHTS_NAME)
    state = {name.removeprefix("base_model.model."): value for name, value in held.items()}
    found = set_peft_model_state_dict(model[0].auto_model, state, adapter_name="default")
    if found.unexpected_keys:
        raise RuntimeError(f"{checkpoint} holds adapters of another model: {found.unexpected_keys[:3]}")
    return True


def merged(model: SentenceTransformer) -> SentenceTransformer:
    """A copy of the encoder without adapters, whose weights hold what they have learnt; the encoder itself if it has
    none.
    """
    if not _has_adapters(model):
        return model
    whole = copy.deepcopy(model)
    transformer = whole[0].auto_model
    for name, layer in list(transformer.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            parent, _, child = name.rpartition(".")
            setattr(transformer.get_submodule(parent), child, layer.get_base_layer())
    transformer._hf_peft_config_loaded = False  # else transformers saves adapters, of which there are none
    del transformer.peft_config
    return whole.requires_grad_(True)


def _has_adapters(model: SentenceTransformer) -> bool:
    return getattr(getattr(model[0], "auto_model", None), "_hf_peft_config_loaded", False)
