"""Attention of a decoder's tokens in both directions, as in an encoder."""

import torch
from sentence_transformers import SentenceTransformer

from rankrefine.errors import UserError


def set_bidirectional(model: SentenceTransformer) -> None:
    """Let every token attend to all others, not to earlier ones alone.

    The switch is `is_causal` of transformers' config, and is saved in config.json with the model: whoever opens the
    folder gets the same embeddings.

    Raises:
        UserError: the transformer ignores the switch.
    """
    transformer = model[0].auto_model
    transformer.config.is_causal = False
    with torch.inference_mode():
        tokens = torch.tensor([[0, 1], [0, 2]], device=transformer.device)
        one, other = transformer(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state[:, 0]
    if torch.equal(one, other):
        kind = transformer.config.model_type
        raise UserError(f"base.attention: this transformer ({kind}) has no bidirectional attention; set it to model.")
