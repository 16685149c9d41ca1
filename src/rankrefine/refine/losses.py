"""Ranking losses of the student's similarities, on padded batches of lists, and the module that the trainer calls.

ListMLE (Xia et al. 2008) asks how probable the wanted order is under the Plackett-Luce model of the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.nn.utils.rnn import pad_sequence

EPSILON = 1e-7  # of the released ListMLE
PADDING = -1e30  # adds exactly 0 to every sum of exponentials; -inf would give nan on the way (inf - inf)


def list_mle(scores: Tensor, target: Tensor) -> Tensor:
    """ListMLE of each row, mean over the rows of a list, then mean over the lists.

        row = sum over places p of  logsumexp(s[p], s[p+1], ...) - s[p],   s = the row's scores by falling target

    So a batch of B lists gives the mean of B batches of one, whatever their lengths. Computed in float32. Equal
    targets keep the order of the columns.

    Args:
        scores: [B, K, K], the student's similarities.
        target: [B, K, K], what orders them; -inf beyond a list's end (rows and columns).

    Returns:
        A scalar, not negative.
    """
    inside = target > -torch.inf
    order = target.argsort(dim=-1, descending=True, stable=True)  # padding last
    scores = scores.float().masked_fill(~inside, PADDING).gather(-1, order)
    rest = scores.flip(-1).logcumsumexp(-1).flip(-1)  # (B, K, K): over the place itself and all after it
    places = (rest - scores).masked_fill(~inside.gather(-1, order), 0)
    sizes = inside.any(-1).sum(-1)  # (B,)
    return (places.sum((-2, -1)) / sizes).mean()


def list_mle_released(scores: Tensor, target: Tensor) -> Tensor:
    """`list_mle` as in the paper's released code: for parity with published checkpoints.

        row = sum over places p of  log(exp(s[p] - max) + exp(s[p+1] - max) + ... + 1e-7) - (s[p] - max)

    The epsilon takes the place of an exact sum, so items far below the best are pushed down for ever.
    """
    inside = target > -torch.inf
    order = target.argsort(dim=-1, descending=True, stable=True)
    scores = scores.float().masked_fill(~inside, PADDING).gather(-1, order)
    scores = scores - scores.amax(-1, keepdim=True).detach()
    rest = (scores.exp().flip(-1).cumsum(-1).flip(-1) + EPSILON).log()
    places = (rest - scores).masked_fill(~inside.gather(-1, order), 0)
    return (places.sum((-2, -1)) / inside.any(-1).sum(-1)).mean()


def list_net(scores: Tensor, target: Tensor) -> Tensor:
    """ListNet (Cao et al. 2007, top one): cross-entropy from softmax(target) to softmax(scores), each row without its
    own sentence; mean over rows, then over lists. Here the distances of the targets count, too. Float32.

    Args and returns: as for `list_mle`.
    """
    others = (target > -torch.inf) & ~torch.eye(target.shape[-1], dtype=torch.bool, device=target.device)
    wanted = target.float().masked_fill(~others, PADDING).softmax(-1)
    given = scores.float().masked_fill(~others, PADDING).log_softmax(-1)
    rows = -(wanted * given).masked_fill(~others, 0).sum(-1)  # (B, K)
    return (rows.sum(-1) / others.any(-1).sum(-1)).mean()


LOSSES = {"list_mle": list_mle, "list_mle_released": list_mle_released, "list_net": list_net}


def similarity(embeddings: Tensor, sizes: list[int], tau: float) -> Tensor:
    """Cosines within each list, divided by `tau`: [sentences of all lists, dim] -> [B, K, K], 0 as padding."""
    lists = normalize(embeddings, dim=-1).split(sizes)
    padded = pad_sequence(list(lists), batch_first=True)  # (B, K, D)
    return padded @ padded.mT / tau


def info_nce(embeddings: Tensor, sizes: list[int], tau: float) -> Tensor:
    """Contrastive loss of the batch (van den Oord et al. 2018): each seed has its first rewrite as the positive, the
    first rewrites of the other lists as negatives.

    Args:
        embeddings: [sentences of all lists, dim].
        sizes: sentences of each list.
        tau: temperature of the cosines.
    """
    lists = normalize(embeddings.float(), dim=-1).split(sizes)
    seeds, rewrites = (torch.stack([rows[place] for rows in lists]) for place in (0, 1))
    return cross_entropy(seeds @ rewrites.mT / tau, torch.arange(len(sizes), device=embeddings.device))


def drift(embeddings: Tensor, base: Tensor, tau: float) -> Tensor:
    """Mean squared change of the cosines between all sentences of the batch, in units of `tau`.

    Args:
        embeddings, base: [sentences, dim] each, of the encoder in training and of the one that it started from.
        tau: temperature.
    """
    now, before = (rows @ rows.mT / tau for rows in (normalize(e.float(), dim=-1) for e in (embeddings, base)))
    return (now - before).square().mean()


class RankingLoss(nn.Module):
    """The loss of a student on batches of `rankrefine.refine.collator.ListCollator`, as the trainer calls it.

    Args:
        model: The student.
        tau: Temperature of its cosines.
        ranking: One of `LOSSES`.
        contrastive: Weight of `info_nce`.
        anchor: Weight of `drift`.
    """

    def __init__(
        self,
        model: Callable[[dict[str, Tensor]], dict[str, Tensor]],
        tau: float,
        ranking: Callable[[Tensor, Tensor], Tensor] = list_mle,
        contrastive: float = 0.0,
        anchor: float = 0.0,
    ) -> None:
        super().__init__()
        self.model, self.tau, self.ranking = model, tau, ranking
        self.contrastive, self.anchor = contrastive, anchor

    def forward(self, features: Iterable[dict[str, Tensor]], label: dict[str, Tensor]) -> Tensor:
        """`features`: the sentences of all lists, in one or more passes; `label`: `target` [B, K, K] as the ranking
        loss wants it, `order` [sentences] the row of each sentence in what the passes give, and with an anchor `base`,
        the embeddings of the base encoder [sentences, dim].
        """
        passes = torch.cat([self.model(sentences)["sentence_embedding"].float() for sentences in features])
        embeddings, target = passes[label["order"]], label["target"]
        sizes = (target[:, 0] > -torch.inf).sum(-1).tolist()
        loss = self.ranking(similarity(embeddings, sizes, self.tau), target)
        if self.contrastive and len(sizes) > 1:
            loss = loss + self.contrastive * info_nce(embeddings, sizes, self.tau)
        if self.anchor:
            loss = loss + self.anchor * drift(embeddings, label["base"], self.tau)
        return loss
