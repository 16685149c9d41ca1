"""Rank targets: the teacher's similarities and the generated order, combined into one order for each row.

`TARGETS` lists the rules. Only the order of a target counts, except for ListNet, which uses its distances too. All
functions take padded batches: B lists, K sentences in the longest. docs/method.md compares the rules.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor


@dataclass(frozen=True)
class Target:
    """One rule for targets.

    `rule` maps the teacher's similarities A [B, K, K], list sizes [B], omega and the statistic to targets [B, K, K].
    Their diagonal and their values beyond the end of a list are ignored.
    """

    rule: Callable[[Tensor, Tensor, float, Tensor | None], Tensor]
    statistic: Callable[[list[Tensor], float], Tensor] | None = None  # of all lists and tau, computed before training
    weighted: bool = True  # depends on omega


def targets(
    embeddings: list[Tensor], tau: float, omega: float, target: str, statistic: Tensor | None = None
) -> Tensor:
    """Targets of a batch of lists, by which the student's similarities are to be ordered.

    Args:
        embeddings: Normalised embeddings by the teacher, [sentences, dim] for each list.
        tau: Temperature that divides the cosines.
        omega: Weight of the generated order, not negative.
        target: Name of a rule in `TARGETS`.
        statistic: The rule's statistic over all lists, if it needs one.

    Returns:
        [B, K, K]; row j of a list orders its sentences by similarity to sentence j. The diagonal is +inf, since every
        sentence comes first in its own row; values beyond the end of a list are -inf.
    """
    sizes = torch.tensor([len(rows) for rows in embeddings])
    padded = torch.nn.utils.rnn.pad_sequence(embeddings, batch_first=True)  # (B, K, D)
    similarity = padded @ padded.mT / tau
    result = TARGETS[target].rule(similarity, sizes, omega, statistic)
    result.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    return result.masked_fill(~pairs(sizes), -torch.inf)


def target_function(
    target: str, tau: float, omega: float, embeddings: list[Tensor]
) -> Callable[[list[Tensor]], Tensor]:
    """Return `targets` as a function of the embeddings of a batch, with the statistic of all `embeddings`."""
    statistic = TARGETS[target].statistic
    values = statistic(embeddings, tau) if statistic else None
    return partial(targets, tau=tau, omega=omega, target=target, statistic=values)


def teacher(similarity: Tensor, sizes: Tensor, omega: float, statistic: Tensor | None) -> Tensor:
    """A[j, l]: the order of the teacher alone."""
    return similarity


def generated(similarity: Tensor, sizes: Tensor, omega: float, statistic: Tensor | None) -> Tensor:
    """-|j - l|: the generated order alone."""
    return -_distance(similarity).repeat(len(sizes), 1, 1)


def paper(similarity: Tensor, sizes: Tensor, omega: float, statistic: Tensor | None, released: bool = False) -> Tensor:
    """A[j, l] + correction[j, l], see `correction`."""
    return similarity + correction(similarity, sizes, omega, released)


def borda(similarity: Tensor, sizes: Tensor, omega: float, statistic: Tensor | None) -> Tensor:
    """-(place of l in row j of A + omega * |j - l|) / (1 + omega): weighted Borda counts of the two rankings.

    Interpolates between the teacher's order (omega 0) and the generated order (omega to infinity).
    """
    descending = similarity.masked_fill(~pairs(sizes), -torch.inf).argsort(dim=-1, descending=True, stable=True)
    return -(descending.argsort(dim=-1) + omega * _distance(similarity)) / (1 + omega)


def profile(similarity: Tensor, sizes: Tensor, omega: float, statistic: Tensor | None) -> Tensor:
    """(A[j, l] + omega * M[j, l]) / (1 + omega), with M from `mean_profile`.

    The weighted mean of the teacher's similarity and the mean at these ranks: the estimate of least variance if the
    variances of the two have the ratio omega to 1. Interpolates between the teacher's order and the generated order,
    like `borda`.
    """
    size = similarity.shape[-1]
    return (similarity + omega * statistic[:size, :size]) / (1 + omega)


def mean_profile(embeddings: list[Tensor], tau: float) -> Tensor:
    """Mean of the teacher's similarities at each pair of positions, over all lists that have both: float32 [K, K].

    `embeddings` are the teacher's, normalised, [sentences, dim] for each list; `tau` divides the cosines.
    """
    longest = max(map(len, embeddings))
    total, count = torch.zeros(longest, longest), torch.zeros(longest, longest)
    for rows in embeddings:
        total[: len(rows), : len(rows)] += rows.float() @ rows.float().T / tau
        count[: len(rows), : len(rows)] += 1
    return total / count


TARGETS = {
    "profile": Target(profile, mean_profile),
    "paper": Target(paper),
    "released": Target(partial(paper, released=True)),
    "borda": Target(borda),
    "teacher": Target(teacher, weighted=False),
    "generated": Target(generated, weighted=False),
}


def _distance(similarity: Tensor) -> Tensor:
    """|j - l| as [K, K], in the dtype of `similarity`."""
    index = torch.arange(similarity.shape[-1], device=similarity.device, dtype=similarity.dtype)
    return (index - index[:, None]).abs()


def correction(similarity: Tensor, sizes: Tensor, omega: float, released: bool = False) -> Tensor:
    """Correction of the teacher's similarities towards the generated order.

    The rule of the paper (He et al. 2025, arXiv 2502.13656), with the offset where its released code has the index.
    Row j covers only its tail, the sentences l >= j, which were generated by decreasing similarity to j. With the
    offset o = l - j and the tail sorted in descending order (the order of ties has no effect),

        gap[j, l] = |similarity[j, l] - sorted[o]|
        correction[j, l] = sign(position of l in sorted - o) * log(1 + omega * gap[j, l])

    so that a sentence is raised if the teacher ranks it below its generated place. The upper triangle is mirrored.

    The result is a correction, not an interpolation: no omega gives the generated order itself. Corrections grow with
    log(omega), but among equal signs they follow the gaps. On simulated lists of 9 sentences (tau 0.05), the share of
    pairs in the generated order rises from 0.81 (omega 0) to 0.97 (2), then falls to 0.84 (100) and 0.74 (1e6).

    Args:
        similarity: Teacher similarities, [B, K, K].
        sizes: Number of sentences of each list, [B]; padding is ignored.
        omega: Not negative.
        released: Compare the position with the index l instead of the offset, as the paper's released code does. Below
            the first row many corrections then have the wrong sign (41 % at 33 sentences, simulated).

    Returns:
        [B, K, K], symmetric, 0 beyond the end of a list.
    """
    offset = torch.arange(similarity.shape[-1], device=similarity.device)
    inside = offset + offset[:, None] < sizes[:, None, None]  # (B, j, o)
    tails = _tails(similarity).masked_fill(~inside, -torch.inf)
    descending, order = tails.sort(dim=-1, descending=True)
    position = order.argsort(dim=-1)
    gap = (tails - descending).abs().masked_fill(~inside, 0)
    place = offset + offset[:, None] if released else offset
    upper = _from_tails((position - place).sign() * torch.log1p(omega * gap))
    return upper + upper.triu(1).mT


def pairs(sizes: Tensor) -> Tensor:
    """Mask of pairs of sentences that exist: [B, K, K] for `sizes` [B], K the largest size."""
    exists = torch.arange(int(sizes.max()), device=sizes.device) < sizes[:, None]  # (B, K)
    return exists[:, :, None] & exists[:, None, :]


def _tails(matrix: Tensor) -> Tensor:
    """`matrix` [B, K, K] with row j shifted left by j, so that the last axis is the offset; row ends are invalid."""
    index = torch.arange(matrix.shape[-1], device=matrix.device)
    column = (index[:, None] + index).clamp(max=len(index) - 1)  # (j, o) -> l
    return matrix.gather(-1, column.expand_as(matrix))


def _from_tails(tails: Tensor) -> Tensor:
    """Inverse of `_tails`: row j shifted right by j, 0 below the diagonal."""
    index = torch.arange(tails.shape[-1], device=tails.device)
    offset = index - index[:, None]  # (j, l) -> o
    return tails.gather(-1, offset.clamp(min=0).expand_as(tails)).triu()
