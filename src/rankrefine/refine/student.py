"""Prepare the student: fewer layers, a training head, LoRA adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rankrefine.errors import UserError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def prepare(student: SentenceTransformer, section: dict[str, Any], pooling: str, random_seed: int) -> None:
    """Apply `layers` and `lora` of the config section refine, and the training head of `pooling`, in place.

    Raises:
        UserError: the encoder has fewer layers, its layers cannot be identified, or it lacks the head.
    """
    if section["layers"]:
        shorten(student, section["layers"])
    if pooling == "cls_training_head":
        from rankrefine.encoders.pooling import add_training_head

        add_training_head(student)
    if section["lora"]:
        from transformers import set_seed

        from rankrefine.training import lora

        set_seed(random_seed)  # adapters are initialised at random
        lora.add(student, section["lora"])


def shorten(model: SentenceTransformer, layers: int) -> None:
    """Keep the first `layers` layers of the encoder's transformer; errors are those of `prepare`."""
    from torch import nn

    transformer = model[0].auto_model
    available = transformer.config.num_hidden_layers
    if layers > available:
        raise UserError(f"refine.layers is {layers} but the encoder has {available} layers.")
    stacks = [
        (parent, name)
        for parent in transformer.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == available
    ]
    if len(stacks) != 1:
        kind = transformer.config.model_type
        raise UserError(f"refine.layers: cannot identify the layers of this encoder ({kind}); set it to 0.")
    [(parent, name)] = stacks
    setattr(parent, name, getattr(parent, name)[:layers])
    transformer.config.num_hidden_layers = layers
    if kinds := getattr(transformer.config, "layer_types", None):
        transformer.config.layer_types = kinds[:layers]
