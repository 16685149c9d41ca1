"""Ranking losses of the student's similarities on padded batches of lists, and the loss module for the trainer.

ListMLE (Xia et al. 2008) is the negative log-likelihood of the target order under the Plackett-Luce model.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.nn.utils.rnn import pad_sequence

EPSILON = 1e-7  # of the released ListMLE
PADDING = -1e30  # adds exactly 0 to every sum of exponentials; -inf would give nan on the way (inf - inf)


def list_mle(scores: Tensor, target: Tensor) -> Tensor:
    """ListMLE of each row, mean over the rows of a list, then over the lists.

        row = sum over places p of  logsumexp(s[p], s[p+1], ...) - s[p],   s = the row's scores by decreasing target

    A batch of B lists thus gives the mean of B batches of one, whatever their lengths. Computed in float32. Equal
    targets keep the order of the columns.

    Args:
        scores: Similarities by the student, [B, K, K].
        target: Values that order them, [B, K, K]; +inf on the diagonal, -inf beyond the end of a list (rows and
            columns).

    Returns:
        A scalar, not negative.
    """
    scores, inside = _by_target(scores, target)
    rest = scores.flip(-1).logcumsumexp(-1).flip(-1)  # (B, K, K): over the place itself and all after it
    return _mean((rest - scores).masked_fill(~inside, 0).sum((-2, -1)), inside)


def list_mle_released(scores: Tensor, target: Tensor) -> Tensor:
    """`list_mle` as in the paper's released code, for parity with published checkpoints.

        row = sum over places p of  log(exp(s[p] - max) + exp(s[p+1] - max) + ... + 1e-7) - (s[p] - max)

    The epsilon makes the sum inexact, so that items far below the best one are pushed down indefinitely.
    """
    scores, inside = _by_target(scores, target)
    scores = scores - scores.amax(-1, keepdim=True).detach()
    rest = (scores.exp().flip(-1).cumsum(-1).flip(-1) + EPSILON).log()
    return _mean((rest - scores).masked_fill(~inside, 0).sum((-2, -1)), inside)


def list_net(scores: Tensor, target: Tensor) -> Tensor:
    """ListNet (Cao et al. 2007, top one): cross-entropy of softmax(scores) against softmax(target), mean over rows,
    then over lists.

    Rows leave out their own sentence. Unlike in ListMLE, the distances of the targets count. Computed in float32.
    Arguments and result are those of `list_mle`.
    """
    others = (target > -torch.inf) & ~torch.eye(target.shape[-1], dtype=torch.bool, device=target.device)
    expected = target.float().masked_fill(~others, PADDING).softmax(-1)
    predicted = scores.float().masked_fill(~others, PADDING).log_softmax(-1)
    return _mean(-(expected * predicted).masked_fill(~others, 0).sum(-1).sum(-1), others)


def _by_target(scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores of each row by decreasing target, padding last, and the mask of those that are no padding."""
    inside = target > -torch.inf
    order = target.argsort(dim=-1, descending=True, stable=True)
    return scores.float().masked_fill(~inside, PADDING).gather(-1, order), inside.gather(-1, order)


def _mean(lists: Tensor, inside: Tensor) -> Tensor:
    """Divide the sum of each list, [B], by its number of rows in the mask `inside`, and average."""
    return (lists / inside.any(-1).sum(-1)).mean()


LOSSES = {"list_mle": list_mle, "list_mle_released": list_mle_released, "list_net": list_net}


def similarity(embeddings: Tensor, sizes: list[int], tau: float) -> Tensor:
    """Cosines within each list divided by `tau`: [sentences of all lists, dim] -> [B, K, K], padded with 0."""
    padded = pad_sequence(normalize(embeddings, dim=-1).split(sizes), batch_first=True)  # (B, K, D)
    return padded @ padded.mT / tau


def info_nce(embeddings: Tensor, sizes: list[int], tau: float) -> Tensor:
    """InfoNCE (van den Oord et al. 2018) of `embeddings`, [sentences of all lists, dim]; lists have `sizes` sentences.

    The positive of a seed sentence is its first rewrite, the negatives are the first rewrites of the other lists.
    """
    lists = normalize(embeddings.float(), dim=-1).split(sizes)
    seeds, rewrites = (torch.stack([rows[place] for rows in lists]) for place in (0, 1))
    return cross_entropy(seeds @ rewrites.mT / tau, torch.arange(len(sizes), device=embeddings.device))


def drift(embeddings: Tensor, base: Tensor, tau: float) -> Tensor:
    """Mean squared change of the cosines between all sentences of the batch, in units of `tau`.

    `embeddings` are those of the encoder in training, `base` those of the base encoder, [sentences, dim].
    """
    now, before = (rows @ rows.mT / tau for rows in (normalize(e.float(), dim=-1) for e in (embeddings, base)))
    return (now - before).square().mean()


class RankingLoss(nn.Module):
    """Loss of the student on batches of `rankrefine.refine.collator.ListCollator`.

    Args:
        model: The student.
        tau: Temperature that divides its cosines.
        ranking: A function of `LOSSES`.
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
        """Compute the loss of a batch.

        Args:
            features: Sentences of all lists, in one or more passes.
            label: `target` [B, K, K] of the ranking loss; `order` [sentences], the index of each sentence in the
                concatenated passes; with an anchor `base`, embeddings by the base encoder [sentences, dim].
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
