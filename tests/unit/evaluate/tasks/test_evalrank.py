"""EvalRank against scikit-learn's ranking metrics and scipy's ranks, pair by pair."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.stats import ortho_group, rankdata
from sklearn.metrics import label_ranking_average_precision_score
from sklearn.metrics.pairwise import cosine_similarity

from rankrefine.errors import UserError
from rankrefine.evaluate.tasks import evalrank as stage


def _data(sentences: int = 80, pairs: int = 60, dim: int = 6, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Embeddings around 20 topics, pairs (half of them within a topic) that share sentences, scores up to 5."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(20, dim))[np.arange(sentences) % 20] + 0.3 * rng.normal(size=(sentences, dim))
    drawn = rng.integers(sentences, size=(pairs, 2))
    drawn[::2, 1] = (drawn[::2, 0] + 20) % sentences
    return embeddings, drawn, rng.uniform(2.5, 5, pairs)


def _values(*data: np.ndarray) -> dict[str, float]:
    return {metric.name: metric.value for metric in stage.evalrank(*data)}


def _slow_ranks(embeddings: np.ndarray, pairs: np.ndarray, gold: np.ndarray) -> dict[tuple[int, int], float]:
    """Rank of each target in the list of all sentences but the query and its other positives."""
    found = {
        tuple(pair) for pair, score in zip(pairs.tolist(), gold, strict=True) if score >= 4 and pair[0] != pair[1]
    }
    found |= {(second, first) for first, second in found}
    similar = cosine_similarity(embeddings)
    ranks = {}
    for query, target in found:
        out = {query} | {other for asked, other in found if asked == query and other != target}
        candidates = [sentence for sentence in range(len(embeddings)) if sentence not in out]
        ranks[query, target] = rankdata(-similar[query, candidates].round(9))[candidates.index(target)]
    return ranks


def test_ranks_one_by_one() -> None:
    data = _data()
    ranks = np.array(list(_slow_ranks(*data).values()))
    expected = {"mrr": np.mean(1 / ranks), "hits@1": np.mean(ranks <= 1), "hits@3": np.mean(ranks <= 3)}
    assert _values(*data) == pytest.approx({name: 100 * value for name, value in expected.items()})
    assert 0 < expected["hits@1"] < expected["hits@3"] < 1


def test_scores_belong_to_pairs() -> None:
    data = _data()
    ranks = _slow_ranks(*data)
    pairs = sorted(pair for pair in ranks if pair[0] < pair[1])
    expected = [50 / ranks[first, second] + 50 / ranks[second, first] for first, second in pairs]
    mrr = stage.evalrank(*data)[0]
    np.testing.assert_allclose(mrr.scores, expected)
    assert mrr.value == np.mean(mrr.scores)


def test_mrr_is_label_ranking_precision_where_each_query_has_one_target() -> None:
    embeddings = np.random.default_rng(3).normal(size=(40, 5))
    pairs = np.arange(40).reshape(20, 2)
    similar = cosine_similarity(embeddings)
    np.fill_diagonal(similar, -1)
    partner = np.eye(40)[np.arange(40) ^ 1]
    expected = label_ranking_average_precision_score(partner, similar)
    assert _values(embeddings, pairs, np.full(20, 5.0))["mrr"] == pytest.approx(100 * expected)


def test_blocks_rotation_order_and_repeats_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, pairs, gold = _data()
    whole = _values(embeddings, pairs, gold)
    turned = 3 * embeddings @ ortho_group.rvs(6, random_state=1)
    assert _values(turned, pairs, gold) == pytest.approx(whole)
    order = np.random.default_rng(1).permutation(len(pairs))
    assert _values(embeddings, pairs[order], gold[order]) == whole
    both = np.concatenate([pairs, pairs[:, ::-1], pairs])
    assert _values(embeddings, both, np.tile(gold, 3)) == whole
    monkeypatch.setattr(stage, "BLOCK", 7 * len(embeddings))
    assert _values(embeddings, pairs, gold) == pytest.approx(whole)


def test_perfect_positives_reach_100_even_where_a_query_has_several() -> None:
    rng = np.random.default_rng(0)
    embeddings = np.eye(10)[np.arange(30) % 10] + rng.normal(scale=1e-4, size=(30, 10))  # ten groups of three
    pairs = np.array([(i % 30, (i + 10) % 30) for i in range(30)])
    assert _values(embeddings, pairs, np.full(30, 4.0)) == {"mrr": 100, "hits@1": 100, "hits@3": 100}


def test_an_encoder_without_differences_finds_nothing() -> None:
    embeddings, pairs, gold = _data()
    found = _values(np.ones_like(embeddings), pairs, gold)
    assert found["mrr"] < 5
    assert found["hits@1"] == found["hits@3"] == 0


def test_chance_finds_nothing() -> None:
    embeddings, pairs, gold = _data(2000, 300)
    assert _values(np.random.default_rng(1).normal(size=embeddings.shape), pairs, gold)["mrr"] < 3


def test_sentences_that_differ_in_the_last_digit_share_their_ranks() -> None:
    """An uncased encoder has one embedding for "A." and "a.", up to rounding; which comes first must not matter."""
    query, target = np.eye(2, 8)
    others = np.eye(8)[2:]
    for noise in (-1e-8, 0, 1e-8):
        rows = np.stack([query, query + target, query + target * (1 + noise), *others])
        assert _values(rows, np.array([[0, 1]]), np.array([5.0]))["mrr"] == pytest.approx(100 * (1 / 1.5 + 1 / 2) / 2)


def test_memory_is_bounded() -> None:
    embeddings, pairs, gold = _data(4000, 4000, dim=8)
    tracemalloc.start()
    stage.evalrank(embeddings, pairs, np.full_like(gold, 5.0))  # 8000 queries
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4000 * 4000 * 8


def test_nothing_to_rank() -> None:
    embeddings, pairs, gold = _data()
    with pytest.raises(UserError, match=r"^No pair has a score of 4 or more \(the highest is 3\.\d+\)"):
        stage.evalrank(embeddings, pairs, gold.clip(max=3.5))
    equal = np.array([[1, 1], [2, 2]])
    with pytest.raises(UserError, match=r"^In all pairs with a score of 4 or more both sentences are equal;"):
        stage.evalrank(embeddings, equal, np.array([5.0, 5.0]))
