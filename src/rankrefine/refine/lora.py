"""LoRA adapters (Hu et al. 2021) through peft: small matrices beside frozen layers, merged into them in the end."""

from __future__ import annotations

import copy

from peft import LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from sentence_transformers import SentenceTransformer
from torch import nn


def add(model: SentenceTransformer, rank: int) -> None:
    """Freeze the encoder's transformer and put adapters of `rank` beside all its linear layers."""
    layers = {
        name.rpartition(".")[2]
        for name, module in model[0].auto_model.named_modules()
        if isinstance(module, nn.Linear) and not name.startswith("pooler.")
    }
    model.add_adapter(LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=sorted(layers)))


def merged(model: SentenceTransformer) -> SentenceTransformer:
    """A copy of the encoder without adapters, whose weights hold what they have learnt; the encoder itself if it has
    none.
    """
    if not getattr(model[0].auto_model, "_hf_peft_config_loaded", False):
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
