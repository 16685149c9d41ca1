"""LoRA adapters (Hu et al. 2021) through peft: small matrices beside frozen layers, merged at the end of training."""

import copy
from pathlib import Path

from peft import LoraConfig, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from torch import nn


def add(model: SentenceTransformer, rank: int) -> None:
    """Freeze the encoder and add adapters of `rank` to all linear layers of its transformer except the head."""
    layers = [
        name
        for name, module in model[0].auto_model.named_modules()
        if isinstance(module, nn.Linear) and not name.startswith("pooler.")
    ]
    model.add_adapter(LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=layers))
    for name, value in model.named_parameters():
        value.requires_grad_("lora_" in name)


def load(model: SentenceTransformer, checkpoint: Path) -> bool:
    """Load the adapters of a checkpoint into a model with adapters; return False if the model has none."""
    if not _has_adapters(model):
        return False
    weights = load_file(checkpoint / SAFETENSORS_WEIGHTS_NAME)
    state = {name.removeprefix("base_model.model."): value for name, value in weights.items()}
    result = set_peft_model_state_dict(model[0].auto_model, state, adapter_name="default")
    if result.unexpected_keys:
        raise RuntimeError(f"{checkpoint} has adapters of another model: {result.unexpected_keys[:3]}")
    return True


def merged(model: SentenceTransformer) -> SentenceTransformer:
    """Return a copy of the encoder with its adapters merged into the weights, or the encoder itself without any."""
    if not _has_adapters(model):
        return model
    whole = copy.deepcopy(model)
    transformer = whole[0].auto_model
    for name, layer in list(transformer.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            parent, _, child = name.rpartition(".")
            setattr(transformer.get_submodule(parent), child, layer.get_base_layer())
    transformer._hf_peft_config_loaded = False  # otherwise transformers would save adapters, which are gone
    del transformer.peft_config
    return whole.requires_grad_(True)


def _has_adapters(model: SentenceTransformer) -> bool:
    return getattr(getattr(model[0], "auto_model", None), "_hf_peft_config_loaded", False)
