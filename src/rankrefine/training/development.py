"""Development score: Spearman correlation of cosines and human scores on validation pairs, x 100 in records.

Without development data, held-out ranking lists replace them: the score then measures how well the encoder reproduces
their generated order, which needs no labels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr

from rankrefine.data_files import scored_pairs, splits
from rankrefine.encoders.embed import BATCH
from rankrefine.encoders.lengths import cut
from rankrefine.errors import about
from rankrefine.training.held_out import SHORTEST

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

METRIC = "spearman_cosine"
HELD_OUT_LISTS = "held-out lists"  # in records, the source of the development data if there are none


def read(path: Path) -> tuple[list[str], list[str], list[float]]:
    """Return first sentences, second sentences and human scores of the validation split, or of a single file.

    Raises:
        UserError: as `scored_pairs.read`; or there is no such split.
    """
    with about("refine.development"):
        columns = scored_pairs.read(splits.files(path, "validation"))
    return columns["sentence1"], columns["sentence2"], columns["score"]


def evaluator(path: Path) -> Any:
    """Return an evaluator that computes `METRIC` (-1..1) on the validation pairs; errors are those of `read`."""
    first, second, scores = read(path)

    def spearman(model: SentenceTransformer) -> float:
        one, other = np.split(_embed(model, first + second), 2)
        return spearmanr((one * other).sum(1), scores).statistic

    return _evaluator(spearman)


def list_evaluator(lists: list[list[str]], max_length: int) -> Any:
    """Return an evaluator that computes the mean `order_kept` of lists of three and more as `METRIC` (-1..1)."""
    sentences = [sentence for own in lists for sentence in own]
    ends = np.cumsum([len(own) for own in lists])

    def mean_order(model: SentenceTransformer) -> float:
        vectors = _embed(model, sentences, processing_kwargs=cut(model, max_length))
        ordered = [rows for rows in np.split(vectors, ends[:-1]) if len(rows) >= SHORTEST]
        return np.mean([order_kept(rows @ rows.T) for rows in ordered])

    return _evaluator(mean_order)


def _evaluator(score: Callable[[SentenceTransformer], float]) -> Any:
    """Return an evaluator of sentence-transformers with one metric."""
    from sentence_transformers.base.evaluation import BaseEvaluator

    class Evaluator(BaseEvaluator):
        def __call__(self, model: SentenceTransformer, *args: Any, **kwargs: Any) -> dict[str, float]:
            return {METRIC: float(score(model))}

    return Evaluator()


def _embed(model: SentenceTransformer, sentences: list[str], **options: Any) -> np.ndarray:
    """Return normalised embeddings [sentences, dim]; equal sentences are embedded once."""
    row = {sentence: i for i, sentence in enumerate(dict.fromkeys(sentences))}
    options |= {"batch_size": BATCH, "normalize_embeddings": True, "show_progress_bar": False}
    return model.encode(list(row), **options)[[row[sentence] for sentence in sentences]]


def order_kept(cosines: np.ndarray) -> float:
    """Spearman correlation of cosines[j, l], [K, K], and -|j - l| over all l except j, mean over the rows j.

    Only rows with an order count: the middle one of three sentences has none, since both others are equally far. A row
    whose cosines are all equal has lost its order: 0. A list of two sentences has only one order, which gives 1.
    """
    positions = np.arange(len(cosines))
    others = [(j, np.delete(positions, j)) for j in positions]
    rows = [(cosines[j, rest], -np.abs(rest - j)) for j, rest in others]
    kept = [np.nan_to_num(spearmanr(row, order).statistic) for row, order in rows if len(set(order)) > 1]
    return float(np.mean(kept)) if kept else 1.0
