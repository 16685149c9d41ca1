"""SimCSE (Gao, Yao and Chen 2021): train a sentence encoder from a pre-trained transformer by a contrastive loss.

Unsupervised, a positive pair is one sentence under two dropout masks. Supervised, triplets have positives and hard
negatives. The loss is the library's InfoNCE over the batch.
"""

from pathlib import Path
from typing import Any

from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from rankrefine.encoders.lengths import preprocessor
from rankrefine.errors import UserError
from rankrefine.text import readers
from rankrefine.training import trainer
from rankrefine.training.hyperparameters import Hyperparameters

COLUMNS = {"simcse_unsup": ("text",), "simcse_sup": ("anchor", "positive", "negative")}
SPLIT = "train"


def examples(recipe: str, path: Path) -> dict[str, list[str]]:
    """Read the training data of a recipe as columns `anchor`, `positive` and, if supervised, `negative`.

    `path` is a file, or a folder with train.parquet. Unsupervised, duplicates are dropped.

    Raises:
        UserError: a column is missing or has gaps, or there are fewer than two examples.
    """
    if recipe == "simcse_sup" and path.suffix == ".txt":
        raise UserError(f"base.data: {path} has no columns; triplets need a table with {', '.join(COLUMNS[recipe])}.")
    columns = [list(readers.sentences(path, column, SPLIT)) for column in COLUMNS[recipe]]
    if recipe == "simcse_unsup":
        sentences = list(dict.fromkeys(text.strip() for text in columns[0] if text and text.strip()))
        columns = [sentences, sentences]
    elif gaps := [row for row, texts in enumerate(zip(*columns, strict=True), start=1) if not all(texts)]:
        raise UserError(f"base.data: {path}, row {gaps[0]} is incomplete; complete or remove it.")
    if len(columns[0]) < 2:
        raise UserError(f"base.data: {path} has {len(columns[0])} usable rows; a batch needs at least 2.")
    return dict(zip(COLUMNS["simcse_sup"], columns, strict=False))


def train(
    model: SentenceTransformer,
    columns: dict[str, list[str]],
    evaluator: Any,
    hyperparameters: Hyperparameters,
    tau: float,
    folder: Path,
) -> dict[str, Any]:
    """Train a transformer with pooling on the columns from `examples`; see `trainer.train`.

    `tau` is the temperature that divides the cosines.
    """
    preprocess = preprocessor(model, hyperparameters.max_length)
    return trainer.train(
        model,
        Dataset.from_dict(columns),
        MultipleNegativesRankingLoss(model, scale=1 / tau),
        evaluator,
        hyperparameters,
        folder,
        SentenceTransformerDataCollator(lambda sentences, **_: preprocess(sentences)),
    )
