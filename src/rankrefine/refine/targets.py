"""Rank correction: the teacher's similarities, moved towards the generated order.

The rule is that of the paper (He et al. 2025, arXiv 2502.13656), with the offset where its code has the index. Of the
targets only the order counts. All functions work on padded batches: B lists, K sentences in the longest.
"""

from __future__ import annotations

import torch
from torch import Tensor


def targets(embeddings: list[Tensor], tau: float, omega: float) -> Tensor:
    """What the student's similarities are to be ordered by.

    Args:
        embeddings: The teacher's, normalised, [sentences, dim] for each list.
        tau: Temperature that divides the cosines.
        omega: Weight of the generated order.

    Returns:
        [B, K, K]; row j of a list orders its sentences by similarity to sentence j. The diagonal is +inf, because
        every sentence comes first in its own row; what lies beyond a list's end is -inf.
    """
    sizes = torch.tensor([len(rows) for rows in embeddings])
    padded = torch.nn.utils.rnn.pad_sequence(embeddings, batch_first=True)  # (B, K, D)
    similarity = padded @ padded.mT / tau
    target = similarity + correction(similarity, sizes, omega)
    target.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    return target.masked_fill(~pairs(sizes), -torch.inf)


def correction(similarity: Tensor, sizes: Tensor, omega: float) -> Tensor:
    """The term that moves the teacher's similarities towards the generated order.

    Row j judges its tail, the sentences l >= j, which were generated in falling similarity to j. With the offset
    o = l - j and the tail sorted in descending order (how ties are sorted changes nothing),

        gap[j, l] = |similarity[j, l] - sorted[o]|
        correction[j, l] = sign(position of l in sorted - o) * log(1 + omega * gap[j, l])

    so that what the teacher ranks worse than generated is raised. The upper triangle is mirrored to the lower.

    It is a correction, not an interpolation: no omega gives the generated order itself. The size of the
    correction grows with log(omega), but its order among equal signs is that of the gaps, so that on simulated lists
    of 9 (tau 0.05) the pairs in generated order rise from 0.81 (omega 0) to 0.97 (2) and fall to 0.84 (100) and 0.74
    (1e6).

    Args:
        similarity: [B, K, K].
        sizes: [B], sentences of each list; what lies beyond is ignored.
        omega: Not negative.

    Returns:
        [B, K, K], symmetric, 0 beyond a list's end.
    """
    offset = torch.arange(similarity.shape[-1], device=similarity.device)
    inside = offset + offset[:, None] < sizes[:, None, None]  # (B, j, o)
    tails = _tails(similarity).masked_fill(~inside, -torch.inf)
    falling, order = tails.sort(dim=-1, descending=True)
    position = order.argsort(dim=-1)
    gap = (tails - falling).abs().masked_fill(~inside, 0)
    upper = _from_tails((position - offset).sign() * torch.log1p(omega * gap))
    return upper + upper.triu(1).mT


def pairs(sizes: Tensor) -> Tensor:
    """True where both sentences exist: [B, K, K] for `sizes` [B], K the largest of them."""
    exists = torch.arange(int(sizes.max()), device=sizes.device) < sizes[:, None]  # (B, K)
    return exists[:, :, None] & exists[:, None, :]


def _tails(matrix: Tensor) -> Tensor:
    """`matrix` [B, K, K] with row j shifted left by j, so that the last axis is the offset; its end holds no data."""
    index = torch.arange(matrix.shape[-1], device=matrix.device)
    column = (index[:, None] + index).clamp(max=len(index) - 1)  # (j, o) -> l
    return matrix.gather(-1, column.expand_as(matrix))


def _from_tails(tails: Tensor) -> Tensor:
    """Undo `_tails`: row j shifted right by j, 0 below the diagonal."""
    index = torch.arange(tails.shape[-1], device=tails.device)
    offset = index - index[:, None]  # (j, l) -> o
    return tails.gather(-1, offset.clamp(min=0).expand_as(tails)).triu()
