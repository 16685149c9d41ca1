"""How the targets of training stand between the generated order and the teacher's: shares of pairs in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rankrefine.ranking_lists.similarity_to_seed import to_seed
from rankrefine.refine.targets import TARGETS, pairs, target_function

TEACHER = "teacher alone"  # what every other rule is held against
BATCH = 64  # lists
SAMPLE = 500  # lists at most that are looked at; their order is random


@dataclass(frozen=True)
class Agreement:
    """Of one rule for targets.

    Attributes:
        name: of the experiment.
        rule: the rule, with its weight where it has one.
        generated: share of pairs of sentences that the targets order as they were generated, over all rows.
        teacher: share that they order as the teacher does.
        by_rank: `generated` for each row, which is the rank of the sentence whose neighbours are ordered.
    """

    name: str
    rule: str
    generated: float
    teacher: float
    by_rank: list[float]


def agreement(name: str, settings: dict[str, Any], teacher: list[Tensor]) -> Agreement:
    """What the targets of an experiment keep of either order.

    Args:
        name: Of the experiment.
        settings: Its `target`, `omega` and `tau_teacher`.
        teacher: The teacher's embeddings of every list, [sentences, dim], normalised.
    """
    rule, omega, tau = settings["target"], settings["omega"], settings["tau_teacher"]
    target_of = target_function(rule, tau, omega, teacher)
    opinion_of = target_function("teacher", tau, omega, teacher)
    sample, longest = teacher[:SAMPLE], max(map(len, teacher[:SAMPLE]))
    counts = torch.zeros(4, longest, dtype=torch.float64)  # as generated, of; as the teacher, of
    for first in range(0, len(sample), BATCH):
        lists = sample[first : first + BATCH]
        found = shares(target_of(lists), opinion_of(lists), torch.tensor([len(rows) for rows in lists]))
        counts[:, : found.shape[1]] += found
    kept, pairs_generated, shared, pairs_teacher = counts
    label = f"{rule}, ω {omega:g}" if TARGETS[rule].weighted else rule
    return Agreement(
        name,
        label,
        float(kept.sum() / pairs_generated.sum()),
        float(shared.sum() / pairs_teacher.sum()),
        (kept / pairs_generated).tolist(),
    )


def reference(teacher: list[Tensor]) -> Agreement:
    """What targets that know the teacher alone keep of the generated order: its embeddings as in `agreement`."""
    return agreement(TEACHER, {"target": "teacher", "omega": 0.0, "tau_teacher": 1.0}, teacher)


def shares(target: Tensor, teacher: Tensor, sizes: Tensor) -> Tensor:
    """Pairs in order, row by row.

    A row j orders the other sentences of its list. The generated order says of a pair (l, m) which comes first where
    one of them is nearer to j in the list; the teacher, where one of them is nearer to j in its cosines. Ties of the
    targets count one half.

    Args:
        target: [B, K, K], as `targets` makes them.
        teacher: The same of the teacher alone.
        sizes: [B], sentences of each list.

    Returns:
        [4, K], float64: for each row the pairs in generated order and all pairs that it says something about, and the
        same of the teacher's order.
    """
    places = torch.arange(target.shape[-1])
    inside = pairs(sizes) & (places != places[:, None])
    rows = []
    for row in range(target.shape[-1]):  # one at a time: long lists would not fit as [B, K, K, K]
        both = inside[:, row, :, None] & inside[:, row, None, :]  # (B, K, K)
        values, opinion = target[:, row], teacher[:, row]
        follows = (values[:, :, None] > values[:, None, :]) + 0.5 * (values[:, :, None] == values[:, None, :])
        distance = (places - row).abs()
        generated = both & (distance[:, None] < distance)
        judged = both & (opinion[:, :, None] > opinion[:, None, :])
        rows.append([(follows * generated).sum(), generated.sum(), (follows * judged).sum(), judged.sum()])
    return torch.tensor(rows, dtype=torch.float64).T


def ideal(teacher: list[Tensor]) -> list[float]:
    """Mean cosine to the seed by rank if every list were in perfect order: its own cosines, sorted.

    Args:
        teacher: The teacher's embeddings of every list, [sentences, dim], normalised.
    """
    cosines = to_seed(torch.cat(teacher).numpy(), [len(rows) for rows in teacher])
    cosines[:, 0] = np.inf  # the seed stays where it is, whatever rounding says of a copy
    falling = -np.sort(-cosines, axis=1)  # what is not a number comes last
    falling[:, 0] = 1.0
    return np.nanmean(falling, axis=0).tolist()
