"""The development score, x100: Spearman correlation of cosine and human score on validation pairs.

Where there are none, lists that are held out of the training take their place: the score is then how well the encoder
orders them as they were generated, which asks nobody for a label.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr

from rankrefine import io
from rankrefine.encoders.lengths import cut
from rankrefine.errors import UserError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator

BATCH = 32  # fastest on 2 cores, because batches are sorted by length: 16 and 128 take 5 % longer
METRIC = "spearman_cosine"
HELD_OUT = 10
COLUMNS = ("sentence1", "sentence2", "score")


def read(folder: Path) -> tuple[list[str], list[str], list[float]]:
    """The pairs and their human scores from the validation split in `folder`.

    Raises:
        UserError: no such split or column, or scores that say nothing.
    """
    file = folder / "validation.parquet"
    if not file.is_file():
        there = ", ".join(sorted(path.stem for path in folder.glob("*.parquet"))) or "none"
        raise UserError(f"refine.development: {folder} has no validation split (validation.parquet); splits: {there}.")
    table = io.read_table(file)
    if missing := [column for column in COLUMNS if column not in table.column_names]:
        raise UserError(f"{file} has no column '{missing[0]}'; there are: {', '.join(table.column_names)}.")
    first, second, scores = (table[column].to_pylist() for column in COLUMNS)
    if empty := [row for row, values in enumerate(zip(first, second, scores, strict=True)) if None in values]:
        raise UserError(f"{file}: row {empty[0]} is not complete; fill in or remove it.")
    if len(set(scores)) < 2:
        raise UserError(f"{file}: all {len(scores)} scores are equal, so there is nothing to correlate with.")
    return first, second, scores


def evaluator(folder: Path) -> EmbeddingSimilarityEvaluator:
    """An evaluator that gives `METRIC` (0..1).

    Raises:
        UserError: see `read`.
    """
    from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator

    first, second, scores = read(folder)
    return EmbeddingSimilarityEvaluator(
        first, second, scores, batch_size=BATCH, main_similarity="cosine", show_progress_bar=False, write_csv=False
    )


def score(evaluator: Any, model: SentenceTransformer) -> float:
    """The development score of a model, x100."""
    return 100 * float(evaluator(model)[METRIC])


def held_out(count: int) -> list[int]:
    """Numbers of the lists that are not trained on where there is no development data: every tenth.

    Raises:
        UserError: there are fewer than ten.
    """
    if count < HELD_OUT:
        raise UserError(
            f"refine.development is null, so that every {HELD_OUT}th ranking list would be held out, but there are "
            f"{count}; name development data or raise seeds.count."
        )
    return list(range(HELD_OUT - 1, count, HELD_OUT))


def list_evaluator(lists: list[list[str]], max_length: int) -> Any:
    """An evaluator that gives `METRIC` (-1..1) of held-out lists: for each sentence of a list the Spearman correlation
    between its cosines to the others and their nearness in the generated order, mean over sentences, then over lists.
    """
    from sentence_transformers.base.evaluation import BaseEvaluator

    class GeneratedOrder(BaseEvaluator):
        """See `list_evaluator`."""

        def __call__(self, model: SentenceTransformer, *args: Any, **kwargs: Any) -> dict[str, float]:
            vectors = model.encode(
                [sentence for sentences in lists for sentence in sentences],
                batch_size=BATCH,
                normalize_embeddings=True,
                processing_kwargs=cut(model, max_length),
                show_progress_bar=False,
            )
            ends = np.cumsum([len(sentences) for sentences in lists])
            return {METRIC: float(np.mean([order_kept(rows @ rows.T) for rows in np.split(vectors, ends[:-1])]))}

    return GeneratedOrder()


def order_kept(cosines: np.ndarray) -> float:
    """Spearman's correlation between cosines[j, l] and -|j - l| over all l but j, mean over the rows j.

    Args:
        cosines: [K, K] of one list; of two sentences there is nothing to order, which gives 0.
    """
    size = len(cosines)
    places = np.arange(size)
    rows = []
    for j in range(size if size > 2 else 0):
        others = places != j
        rows.append(spearmanr(cosines[j, others], -np.abs(places[others] - j)).statistic)
    return float(np.nan_to_num(np.mean(rows))) if rows else 0.0
