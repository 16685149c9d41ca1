"""Ranking losses: how far scores are from the order, or the values, of their targets. Padded batches of lists.

ListMLE (Xia et al. 2008) is the negative log-likelihood of the target order under the Plackett-Luce model.
"""

import torch
from torch import Tensor

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
