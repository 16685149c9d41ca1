"""Training objectives of the base encoder; docs/method.md has their formulas and sources.

An objective is a function of a batch that returns a scalar. Its arguments are

    embeddings: anchors [N, D], and candidates [C, D]: the N positives, then the hard negatives of rows that have one
    label: `score` [N] in 0..1; `guide` [N, C], cosines of anchors and candidates by frozen encoders
    settings: config section base

Logits are cosines divided by `tau`, [N, C]; the positive of a row, its "own" candidate, is on the diagonal.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss, MultipleNegativesRankingLoss
from sentence_transformers.util import cos_sim
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, cross_entropy, kl_div, pad

from rankrefine.training.ranking_losses import LOSSES

Embeddings, Label, Settings = list[Tensor], dict[str, Tensor], dict[str, Any]


@dataclass(frozen=True)
class Objective:
    """An objective, and the columns of its data: `text` alone, or at least `anchor` and `positive`."""

    loss: Callable[[Embeddings, Label, Settings], Tensor]
    required: tuple[str, ...] = ("anchor", "positive")
    optional: tuple[str, ...] = ()
    guided: bool = False  # compares with frozen encoders


def contrastive(embeddings: Embeddings, label: Label, settings: Settings) -> Tensor:
    """InfoNCE (van den Oord et al. 2018) over all candidates of the batch; the library's."""
    library = MultipleNegativesRankingLoss(None, scale=1 / settings["tau"])  # it gets embeddings and needs no model
    return library.compute_loss_from_embeddings(embeddings, None)


def masked_contrastive(embeddings: Embeddings, label: Label, settings: Settings) -> Tensor:
    """InfoNCE without candidates whose guide cosine exceeds `phi`, which may be positives (MultiCSR)."""
    return _info_nce(_logits(embeddings, settings).masked_fill(_alike(label, settings), -torch.inf))


def masked_contrastive_released(embeddings: Embeddings, label: Label, settings: Settings) -> Tensor:
    """`masked_contrastive` as in MultiCSR's released code: a masked logit is 0, the loss is binary cross-entropy."""
    logits = _logits(embeddings, settings).masked_fill(_alike(label, settings), 0)
    return binary_cross_entropy(logits.softmax(-1), _own(logits).to(logits.dtype))


def decayed_contrastive(embeddings: Embeddings, label: Label, settings: Settings) -> Tensor:
    """InfoNCE in which the logit s of a row's own hard negative becomes s + w (GCSE).

    With s0 the guide's logit, w = 0 if s > s0, else -s exp(-(s - s0)^2 / (2 sigma^2)); no gradient flows through w.
    """
    logits, count = _logits(embeddings, settings), len(embeddings[0])
    own, frozen = logits[:, count:].diagonal(), label["guide"][:, count:].diagonal() / settings["tau"]
    decay = -own * torch.exp(-((own - frozen) ** 2) / (2 * settings["sigma"] ** 2))
    weight = torch.where(own > frozen, 0, decay).detach()
    return _info_nce(logits + pad(weight.diag(), (count, 0)))


def soft_contrastive(embeddings: Embeddings, label: Label, settings: Settings) -> Tensor:
    """InfoNCE with each row weighted by its score (CLHAIF)."""
    return -(label["score"] * _logits(embeddings, settings).log_softmax(-1).diagonal()).mean()


def smoothed_contrastive(embeddings: Embeddings, label: Label, settings: Settings) -> Tensor:
    """Cross-entropy whose target is the score at the row's own positive and its rest spread evenly (CLHAIF)."""
    logits, score = _logits(embeddings, settings), label["score"][:, None]
    target = torch.where(_own(logits), score, (1 - score) / (logits.shape[1] - 1))
    return cross_entropy(logits, target)


def cosine(embeddings: Embeddings, label: Label, settings: Settings) -> Tensor:
    """Mean squared difference of cosine and score (CLAIF); the library's."""
    return CosineSimilarityLoss(None).compute_loss_from_embeddings(embeddings, label["score"])


def rank_distillation(embeddings: Embeddings, label: Label, settings: Settings) -> Tensor:
    """InfoNCE + `beta` x consistency of the two dropout masks + `gamma` x ranking loss towards the guide (RankCSE)."""
    logits = _logits(embeddings, settings)
    if len(logits) == 1:
        return _info_nce(logits)  # there is nothing to rank
    target = (label["guide"] / settings["tau"]).fill_diagonal_(torch.inf)
    ranking = LOSSES[settings["ranking_loss"]](logits[None], target[None])
    consistency = jensen_shannon(logits, logits.mT)
    return _info_nce(logits) + settings["beta"] * consistency + settings["gamma"] * ranking


def jensen_shannon(one: Tensor, other: Tensor) -> Tensor:
    """Jensen-Shannon divergence of the softmax of each row, mean over rows: 0 if all are equal, at most ln 2."""
    p, q = one.log_softmax(-1), other.log_softmax(-1)
    mean = torch.logaddexp(p, q) - math.log(2)
    divergences = [kl_div(mean, each, reduction="batchmean", log_target=True) for each in (p, q)]
    return sum(divergences) / 2


def _logits(embeddings: Embeddings, settings: Settings) -> Tensor:
    return cos_sim(*embeddings) / settings["tau"]


def _own(logits: Tensor) -> Tensor:
    return torch.eye(*logits.shape, dtype=torch.bool, device=logits.device)


def _alike(label: Label, settings: Settings) -> Tensor:
    """Mask of candidates that are too similar to the anchor by the guide; the row's own positive never is."""
    return (label["guide"] > settings["phi"]) & ~_own(label["guide"])


def _info_nce(logits: Tensor) -> Tensor:
    return cross_entropy(logits, torch.arange(len(logits), device=logits.device))


TEXT, TRIPLET, SCORED = ("text",), ("anchor", "positive", "negative"), ("anchor", "positive", "score")
NEGATIVE = ("negative",)

OBJECTIVES = {
    "simcse_unsup": Objective(contrastive, TEXT),
    "contrastive": Objective(contrastive, optional=NEGATIVE),
    "masked_contrastive": Objective(masked_contrastive, optional=NEGATIVE, guided=True),
    "masked_contrastive_released": Objective(masked_contrastive_released, optional=NEGATIVE, guided=True),
    "decayed_contrastive": Objective(decayed_contrastive, TRIPLET, guided=True),
    "soft_contrastive": Objective(soft_contrastive, SCORED, NEGATIVE),
    "smoothed_contrastive": Objective(smoothed_contrastive, SCORED, NEGATIVE),
    "cosine": Objective(cosine, SCORED),
    "rank_distillation": Objective(rank_distillation, TEXT, guided=True),
}
