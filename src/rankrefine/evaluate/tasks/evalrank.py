"""EvalRank: does a sentence find its paraphrase among all sentences? (Wang, Kuo & Li 2022, "Just Rank")."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from rankrefine.errors import UserError
from rankrefine.evaluate.metric import Metric
from rankrefine.evaluate.sentence_pairs import BLOCK, positives, unit_rows

SAME = 1e-6  # similarities nearer than this are ties: batches and blocks of float32 differ in the seventh digit


def evalrank(embeddings: np.ndarray, pairs: np.ndarray, gold: np.ndarray) -> list[Metric]:
    """Mean reciprocal rank, hits@1 and hits@3 (x100) of the positive pairs among all sentences.

    As in the paper and its code: pairs of an STS set that mean the same, both sentences of a pair are the query once,
    a pair that is there twice counts once, the background is every different sentence, ranked by cosine, and the
    query itself is no candidate.

    Changed on purpose:
    - Pairs and background are what is given, by default the pairs of STS Benchmark's test split and the sentences of
      all its splits, and a pair is positive from a score of 4. The paper joins them with STR and takes the upper part
      of the scores, so that its numbers are not comparable with these.
    - Other positives of the query are left out of its ranking. The released code counts them as mistakes, and then no
      encoder can reach 100.
    - Sentences as near as the target share their ranks with it (the mean rank). The released code gives the target the
      best of these ranks, and an encoder that maps all sentences to one point would reach 100.
    - Embeddings are not centred, as nobody centres them in use; the released code subtracts the mean of all sentences.
    - A pair of two equal sentences is left out: it has nothing to find.

    Args:
        embeddings: Of the different sentences `[sentences, dim]`.
        pairs: Places of the pairs in them `[n, 2]`, see `embeddings.distinct_sentences`.
        gold: Scores of the pairs from 0 to 5 `[n]`.

    Returns:
        Metrics with one score per positive pair, the mean of its two queries (which are too much alike to be drawn
        apart in a bootstrap), in an order that depends on the pairs alone.

    Raises:
        UserError: no pair of two different sentences is positive.
    """
    chosen = np.unique(np.sort(pairs[positives(gold)], axis=1), axis=0)
    chosen = chosen[chosen[:, 0] != chosen[:, 1]]
    if not len(chosen):
        raise UserError("All pairs with a score of 4 or more repeat one sentence, and EvalRank has nothing to find.")
    ranks = _ranks(embeddings, np.concatenate([chosen, chosen[:, ::-1]])).reshape(2, -1)
    of_query = {"mrr": 1 / ranks, "hits@1": ranks <= 1, "hits@3": ranks <= 3}
    return [Metric.mean(name, 100 * values.mean(axis=0)) for name, values in of_query.items()]


def _ranks(embeddings: np.ndarray, searches: np.ndarray) -> np.ndarray:
    """Rank of the target for each (query, target) in `searches` `[n, 2]`: 1 is best, tied ranks are shared."""
    unit = unit_rows(embeddings)
    sentences = len(unit)
    query, target = np.concatenate([searches, np.tile(np.arange(sentences)[:, None], 2)]).T
    related = csr_array((np.ones(len(query)), (query, target)), shape=(sentences, sentences))  # and each to itself
    ranks = np.empty(len(searches))
    size = max(1, BLOCK // sentences)
    for start in range(0, len(searches), size):
        query, target = searches[start : start + size].T
        similar = unit[query] @ unit.T  # (b, sentences)
        at_target = np.take_along_axis(similar, target[:, None], axis=1)
        rows, columns = related[query].nonzero()
        similar[rows, columns] = -np.inf
        above = (similar > at_target + SAME).sum(axis=1)
        level = (similar >= at_target - SAME).sum(axis=1) - above
        ranks[start : start + size] = 1 + above + level / 2
    return ranks
