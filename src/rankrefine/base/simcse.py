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

from rankrefine.data_files import splits, tables
from rankrefine.data_files.columns import filled_text
from rankrefine.encoders.lengths import preprocessor
from rankrefine.errors import UserError, about
from rankrefine.training import trainer
from rankrefine.training.hyperparameters import Hyperparameters

COLUMNS = {"simcse_unsup": ("text",), "simcse_sup": ("anchor", "positive", "negative")}
SPLIT = "train"


def examples(recipe: str, path: Path) -> dict[str, list[str]]:
    """Read the training data of a recipe as columns `anchor`, `positive` and, if supervised, `negative`.

    `path` is a file, or a folder with a split train. Unsupervised, duplicates are dropped.

    Raises:
        UserError: a column is missing or has gaps, or there are fewer than two examples.
    """
    with about("base.data"):
        if recipe == "simcse_unsup":
            sentences = (sentence.strip() for sentence in tables.sentences(path, *COLUMNS[recipe], SPLIT) if sentence)
            distinct = list(dict.fromkeys(filter(None, sentences)))
            columns = dict.fromkeys(("anchor", "positive"), distinct)
        else:
            columns = tables.read(splits.files(path, SPLIT), dict.fromkeys(COLUMNS[recipe], filled_text))
        if (count := len(columns["anchor"])) < 2:
            raise UserError(f"{path} has {count} usable rows; a batch needs at least 2.")
    return columns


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
