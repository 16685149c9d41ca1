"""Pooling of token vectors into a sentence vector: mean, [CLS], [CLS] with a head, or the last token.

The head is the transformer's own pooler, a dense layer with tanh on [CLS], which BERT, RoBERTa, MPNet and others have.
SimCSE trains with it; its unsupervised recipe drops it afterwards. Its weights stay in the transformer's file, where
published SimCSE checkpoints have theirs.
"""

from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from torch import Tensor, nn

from rankrefine.errors import UserError

MODES = {"mean": "mean", "last": "lasttoken"}  # names of sentence-transformers; all others are "cls"
PROMPT = "rankrefine"  # name of the prompt in a model folder


def with_pooling(model: SentenceTransformer, pooling: str) -> SentenceTransformer:
    """Return the encoder, on the same transformer, with a pooling of the config; `model` changes nothing.

    Of the modules above the transformer only normalisation is kept. Sentences are padded on the right: on the left,
    padding would shift the positions of a transformer that does not skip it.

    Raises:
        UserError: the pooling needs a head that the transformer lacks.
    """
    if pooling == "model":
        return model
    head = _pooler(model).dense if "head" in pooling else None
    mode = MODES.get(pooling, "cls")
    modules: list[nn.Module] = [model[0], Pooling(model[0].get_embedding_dimension(), pooling_mode=mode)]
    model.tokenizer.padding_side = "right"
    if pooling == "cls_head":
        weights = {"init_weight": head.weight.detach().clone(), "init_bias": head.bias.detach().clone()}
        modules.append(Dense(head.in_features, head.out_features, activation_function=nn.Tanh(), **weights))
    modules += [module for module in list(model)[1:] if isinstance(module, Normalize)]
    return SentenceTransformer(
        modules=modules,
        device=str(model.device),
        prompts=model.prompts,
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name=model.similarity_fn_name,
    ).eval()


def set_prompt(model: SentenceTransformer, prompt: str | None) -> None:
    """Set the encoder's default prompt; "" for none, None leaves it unchanged."""
    if prompt is not None:
        model.prompts = {PROMPT: prompt} if prompt else {}
        model.default_prompt_name = PROMPT if prompt else None


def add_training_head(model: SentenceTransformer) -> None:
    """Apply the head to [CLS] in training mode only.

    Raises:
        UserError: the transformer has no head.
    """
    pooler = _pooler(model)

    def head(module: nn.Module, _: Any, features: dict[str, Tensor]) -> dict[str, Tensor]:
        if module.training:  # the pooler takes the first of the token vectors
            features["sentence_embedding"] = pooler(features["sentence_embedding"].unsqueeze(1))
        return features

    next(module for module in model if isinstance(module, Pooling)).register_forward_hook(head)


def _pooler(model: SentenceTransformer) -> nn.Module:
    pooler = getattr(model[0].auto_model, "pooler", None)
    if not isinstance(getattr(pooler, "dense", None), nn.Linear):
        kind = model[0].auto_model.config.model_type
        raise UserError(f"base.pooling: this encoder ({kind}) has no head on [CLS]; use cls or mean.")
    return pooler
