"""The development score: Spearman correlation of cosine and human score on the validation pairs, x100."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rankrefine import io
from rankrefine.errors import UserError

if TYPE_CHECKING:
    from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator

BATCH = 32  # fastest on 2 cores, because batches are sorted by length: 16 and 128 take 5 % longer
METRIC = "spearman_cosine"
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
