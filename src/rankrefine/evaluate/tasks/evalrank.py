"""EvalRank: rank of a sentence's paraphrase among all sentences (Wang, Kuo & Li 2022, "Just Rank")."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from rankrefine.data_files import splits
from rankrefine.errors import UserError
from rankrefine.evaluate.metric import Metric
from rankrefine.evaluate.sentence_pairs import BLOCK, distinct_sentences, positives, unit_rows
from rankrefine.evaluate.tasks.task import Embed, Files, Tables, TableTask, text_columns

BACKGROUND = ("train", "validation")  # optional splits whose sentences are searched as well
SAME = 1e-6  # closer similarities are ties: float32 results of different batches differ in the seventh digit


class EvalRank(TableTask):
    """Paraphrase retrieval on scored sentence pairs."""

    def splits(self, path: Path) -> Sequence[str]:
        return ("test", *(split for split in BACKGROUND if splits.has(path, split)))

    def size(self, tables: Tables, files: Files) -> tuple[int, str]:
        first, second, gold = (tables["test"][name].to_numpy() for name in ("sentence1", "sentence2", "score"))
        positives(gold[first != second])  # a pair of equal sentences has nothing to retrieve
        return len(gold), "pairs"

    def score(self, embed: Embed, tables: Tables) -> list[Metric]:
        sentences, pairs = distinct_sentences(*text_columns(tables["test"]))
        others = chain.from_iterable(column for table in tables.values() for column in text_columns(table))
        sentences = list(dict.fromkeys([*sentences, *others]))
        return evalrank(embed(sentences), pairs, tables["test"]["score"].to_numpy())


TASK = EvalRank


def evalrank(embeddings: np.ndarray, pairs: np.ndarray, gold: np.ndarray) -> list[Metric]:
    """Mean reciprocal rank, hits@1 and hits@3 (x100) of the positive pairs among all sentences.

    As in the paper and its code: the pairs are positive pairs of an STS set, each sentence of a pair is the query
    once, a repeated pair counts once, all distinct sentences are candidates except the query, and candidates are
    ranked by cosine.

    Changed on purpose:
    - Pairs and candidates come from the given data, by default the pairs of STS Benchmark's test split and the
      sentences of all its splits, and a pair is positive from a score of 4. The paper joins them with STR and takes
      the upper part of the scores, so its numbers are not comparable with these.
    - Other positives of the query are excluded from its ranking. The released code counts them as mistakes, so that no
      encoder can reach 100.
    - Sentences as similar as the target share their mean rank with it. The released code gives the target the best of
      these ranks, so that an encoder which maps all sentences to one point would reach 100.
    - Embeddings are not centred, as is usual in applications; the released code subtracts the mean of all sentences.
    - A pair of two equal sentences is excluded: it has nothing to retrieve.

    Args:
        embeddings: Embeddings of the distinct sentences `[sentences, dim]`.
        pairs: Row numbers of each pair's sentences `[n, 2]`, see `sentence_pairs.distinct_sentences`.
        gold: Gold scores of the pairs from 0 to 5 `[n]`.

    Returns:
        Metrics with one score per positive pair: the mean of its two queries, which are too similar to be resampled
        separately in a bootstrap. Their order depends on the pairs alone.

    Raises:
        UserError: no pair of two distinct sentences is positive.
    """
    chosen = np.unique(np.sort(pairs[positives(gold)], axis=1), axis=0)
    chosen = chosen[chosen[:, 0] != chosen[:, 1]]
    if not len(chosen):
        raise UserError(
            "In all pairs with a score of 4 or more both sentences are equal; add pairs of distinct sentences."
        )
    ranks = _ranks(embeddings, np.concatenate([chosen, chosen[:, ::-1]])).reshape(2, -1)
    of_query = {"mrr": 1 / ranks, "hits@1": ranks <= 1, "hits@3": ranks <= 3}
    return [Metric.mean(name, 100 * values.mean(axis=0)) for name, values in of_query.items()]


def _ranks(embeddings: np.ndarray, searches: np.ndarray) -> np.ndarray:
    """Rank of the target for each (query, target) in `searches` `[n, 2]`; 1 is best, ties share their mean rank."""
    unit = unit_rows(embeddings)
    sentences = len(unit)
    query, target = np.concatenate([searches, np.tile(np.arange(sentences)[:, None], 2)]).T
    # excluded candidates of each query: its positives and itself
    related = csr_array((np.ones(len(query)), (query, target)), shape=(sentences, sentences))
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
