"""ListMLE (Xia et al. 2008): how probable the wanted order is under the Plackett-Luce model of the scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

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


def similarity(embeddings: Tensor, sizes: list[int], tau: float) -> Tensor:
    """Cosines within each list, divided by `tau`: [sentences of all lists, dim] -> [B, K, K], 0 as padding."""
    lists = normalize(embeddings, dim=-1).split(sizes)
    padded = pad_sequence(list(lists), batch_first=True)  # (B, K, D)
    return padded @ padded.mT / tau


class RankingLoss(nn.Module):
    """`list_mle` of a student on batches of `rankrefine.refine.data.ListCollator`, as the trainer calls it."""

    def __init__(self, model: Callable[[dict[str, Tensor]], dict[str, Tensor]], tau: float) -> None:
        super().__init__()
        self.model = model
        self.tau = tau

    def forward(self, features: Iterable[dict[str, Tensor]], target: Tensor) -> Tensor:
        """`features`: one, with the sentences of all lists; `target` [B, K, K] as `list_mle` wants it."""
        (sentences,) = features
        embeddings = self.model(sentences)["sentence_embedding"]  # (all sentences, D)
        sizes = (target[:, 0] > -torch.inf).sum(-1).tolist()
        return list_mle(similarity(embeddings, sizes, self.tau), target)
