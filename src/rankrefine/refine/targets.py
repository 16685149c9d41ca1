"""Rank targets: the teacher's similarities and the generated order, made into one order for each row.

Of the targets only the order counts (ListNet also looks at the distances). All functions work on padded batches: B
lists, K sentences in the longest. docs/method.md compares the rules.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Rule = Literal["paper", "released", "teacher", "generated", "borda", "profile"]


def targets(
    embeddings: list[Tensor], tau: float, omega: float, rule: Rule = "paper", profile: Tensor | None = None
) -> Tensor:
    """What the student's similarities are to be ordered by.

    With A the teacher's similarities of a list (cosine / tau), row j judging sentence l:

        teacher     A[j, l]
        generated   -|j - l|
        paper       A[j, l] + correction[j, l], see `correction`
        released    the same with the sign test of the paper's released code
        borda       -(place of l in row j by the teacher + omega * |j - l|) / (1 + omega)
        profile     (A[j, l] + omega * profile[j, l]) / (1 + omega)

    `borda` and `profile` lead from the teacher (omega 0) to the generated order (omega to infinity): weighted Borda
    counts of the two rankings, and the mean of the teacher's noisy opinion and of what is usual at these places, as
    for two measurements whose variances stand as omega to 1.

    Args:
        embeddings: The teacher's, normalised, [sentences, dim] for each list.
        tau: Temperature that divides the cosines.
        omega: Weight of the generated order; not negative. No part of `teacher` and `generated`.
        rule: See above.
        profile: Mean similarities by places from `mean_profile`, for the rule of that name.

    Returns:
        [B, K, K]; row j of a list orders its sentences by similarity to sentence j. The diagonal is +inf, because
        every sentence comes first in its own row; what lies beyond a list's end is -inf.
    """
    sizes = torch.tensor([len(rows) for rows in embeddings])
    padded = torch.nn.utils.rnn.pad_sequence(embeddings, batch_first=True)  # (B, K, D)
    similarity = padded @ padded.mT / tau
    inside = pairs(sizes)
    if rule in ("paper", "released"):
        target = similarity + correction(similarity, sizes, omega, released=rule == "released")
    elif rule == "generated":
        target = -_distance(similarity).repeat(len(sizes), 1, 1)
    elif rule == "borda":
        falling = similarity.masked_fill(~inside, -torch.inf).argsort(dim=-1, descending=True, stable=True)
        target = -(falling.argsort(dim=-1) + omega * _distance(similarity)) / (1 + omega)
    elif rule == "profile":
        places = similarity.shape[-1]
        target = (similarity + omega * profile[:places, :places]) / (1 + omega)
    else:
        target = similarity
    target.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    return target.masked_fill(~inside, -torch.inf)


def mean_profile(embeddings: list[Tensor], tau: float) -> Tensor:
    """Mean of the teacher's similarities at each pair of places, over all lists that reach so far.

    Args:
        embeddings: The teacher's, normalised, [sentences, dim] for each list.
        tau: Temperature that divides the cosines.

    Returns:
        float32 [K, K], K the sentences of the longest list.
    """
    longest = max(map(len, embeddings))
    total, count = torch.zeros(longest, longest), torch.zeros(longest, longest)
    for rows in embeddings:
        total[: len(rows), : len(rows)] += rows.float() @ rows.float().T / tau
        count[: len(rows), : len(rows)] += 1
    return total / count


def _distance(similarity: Tensor) -> Tensor:
    """|j - l| as [K, K], in the type of `similarity`."""
    index = torch.arange(similarity.shape[-1], device=similarity.device, dtype=similarity.dtype)
    return (index - index[:, None]).abs()


def correction(similarity: Tensor, sizes: Tensor, omega: float, released: bool = False) -> Tensor:
    """The term that moves the teacher's similarities towards the generated order.

    The rule of the paper (He et al. 2025, arXiv 2502.13656), with the offset where its released code has the index.
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
        released: Compare the position with the index l instead of the offset, as the released code of the paper does:
            below the first row many corrections then point the wrong way (41 % at 33 sentences, simulated).

    Returns:
        [B, K, K], symmetric, 0 beyond a list's end.
    """
    offset = torch.arange(similarity.shape[-1], device=similarity.device)
    inside = offset + offset[:, None] < sizes[:, None, None]  # (B, j, o)
    tails = _tails(similarity).masked_fill(~inside, -torch.inf)
    falling, order = tails.sort(dim=-1, descending=True)
    position = order.argsort(dim=-1)
    gap = (tails - falling).abs().masked_fill(~inside, 0)
    place = offset + offset[:, None] if released else offset
    upper = _from_tails((position - place).sign() * torch.log1p(omega * gap))
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
