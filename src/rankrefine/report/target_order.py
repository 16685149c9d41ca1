"""Agreement of the training targets with the generated order and with the teacher's order."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rankrefine.ranking_lists.similarity_to_seed import to_seed
from rankrefine.refine.targets import TARGETS, pairs, target_function

TEACHER_ALONE = "teacher alone"  # reference for all other targets
BATCH = 64  # lists
SAMPLE = 500  # maximum number of lists to count; their order is random


@dataclass(frozen=True)
class Agreement:
    """Agreement of one experiment's targets with both orders: shares of the sentence pairs that they rank alike."""

    name: str  # of the experiment
    target: str  # kind of target, with omega if it depends on it
    generated: float  # share in generated order
    teacher: float  # share in the teacher's order
    by_rank: list[float]  # `generated` by row, that is by the rank of the sentence to which the others are ranked


def agreement(name: str, config: dict[str, Any], teacher: list[Tensor]) -> Agreement:
    """Compute the agreement of an experiment's targets with both orders.

    Args:
        name: Experiment.
        config: Its `target`, `omega` and `tau_teacher`.
        teacher: Normalised teacher embeddings of every list, [sentences, dim].
    """
    target, omega, tau = config["target"], config["omega"], config["tau_teacher"]
    own, opinion = (target_function(kind, tau, omega, teacher) for kind in (target, "teacher"))
    sample = teacher[:SAMPLE]
    counts = torch.zeros(4, max(map(len, sample)), dtype=torch.float64)
    for first in range(0, len(sample), BATCH):
        lists = sample[first : first + BATCH]
        batch = pair_counts(own(lists), opinion(lists), torch.tensor([len(rows) for rows in lists]))
        counts[:, : batch.shape[1]] += batch
    kept, generated, shared, judged = counts
    return Agreement(
        name=name,
        target=f"{target}, ω {omega:g}" if TARGETS[target].weighted else target,
        generated=float(kept.sum() / generated.sum()),
        teacher=float(shared.sum() / judged.sum()),
        by_rank=(kept / generated).tolist(),
    )


def reference(teacher: list[Tensor]) -> Agreement:
    """Compute the agreement of the teacher's own order with the generated one; `teacher` as in `agreement`."""
    return agreement(TEACHER_ALONE, {"target": "teacher", "omega": 0.0, "tau_teacher": 1.0}, teacher)


def pair_counts(target: Tensor, teacher: Tensor, sizes: Tensor) -> Tensor:
    """Count the sentence pairs that targets rank in generated order, and as the teacher does.

    Row j ranks the other sentences of its list. The generated order ranks a pair (l, m) if one of them is nearer to j
    in the list; the teacher ranks it if one of them has the higher cosine to j. Ties of the targets count one half.

    Args:
        target: Targets, [B, K, K].
        teacher: Targets from the teacher alone, [B, K, K].
        sizes: Number of sentences of each list, [B].

    Returns:
        [4, K], float64; for each row the number of pairs that the targets rank in generated order and of all pairs
        that this order ranks, and the same two numbers for the teacher's order.
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
    """Return the mean cosine to the seed sentence by rank, each list sorted by cosine; `teacher` as in `agreement`."""
    cosines = to_seed(torch.cat(teacher).numpy(), [len(rows) for rows in teacher])
    cosines[:, 0] = np.inf  # the seed sentence stays first, even beside a copy with a cosine rounded above 1
    falling = -np.sort(-cosines, axis=1)  # NaN comes last
    falling[:, 0] = 1.0
    return np.nanmean(falling, axis=0).tolist()
