"""SimCSE (Gao, Yao and Chen, 2021): an encoder from a pre-trained transformer, by a contrastive loss.

Unsupervised, a sentence under two dropout masks is the positive pair; supervised, triplets bring positives and hard
negatives. The loss is the library's InfoNCE over the batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from rankrefine.encoders.lengths import preprocessor
from rankrefine.errors import UserError
from rankrefine.text import readers as read

COLUMNS = {"simcse_unsup": ("text",), "simcse_sup": ("anchor", "positive", "negative")}
SPLIT = "train"


def examples(recipe: str, path: Path) -> dict[str, list[str]]:
    """What the recipe trains on, by column: `anchor`, `positive` and, supervised, `negative`.

    Args:
        recipe: `simcse_unsup` or `simcse_sup`.
        path: A file, or a folder with train.parquet. Unsupervised, sentences that are there twice count once.

    Raises:
        UserError: a column is missing or has gaps, the columns differ in length, or there is next to nothing.
    """
    if recipe == "simcse_sup" and path.suffix == ".txt":
        raise UserError(f"base.data: {path} has no columns; triplets are a table with {', '.join(COLUMNS[recipe])}.")
    columns = [list(read.sentences(path, column, SPLIT)) for column in COLUMNS[recipe]]
    if recipe == "simcse_unsup":
        sentences = list(dict.fromkeys(text.strip() for text in columns[0] if text and text.strip()))
        columns = [sentences, sentences]
    elif gaps := [row for row, texts in enumerate(zip(*columns, strict=True), start=1) if not all(texts)]:
        raise UserError(f"base.data: {path}, row {gaps[0]} is not complete; fill in or remove it.")
    if len(columns[0]) < 2:
        raise UserError(f"base.data: {path} has {len(columns[0])} usable rows, but a batch needs at least 2.")
    return dict(zip(COLUMNS["simcse_sup"], columns, strict=False))


def train(
    model: SentenceTransformer,
    columns: dict[str, list[str]],
    evaluator: Any,
    settings: dict[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """Train and leave the model of the best development score in `folder`, as `work.best`; losses and scores.

    Args:
        model: A transformer with pooling.
        columns: From `examples`.
        evaluator: Gives the development score.
        settings: The section `base` of the config and its `seed`.
        folder: The private one of this training.
    """
    from datasets import Dataset

    from rankrefine.training import trainer

    preprocess = preprocessor(model, settings["max_length"])
    fixed = {"schedule": "linear", "warmup": 0.0, "weight_decay": 0.0, "clip": 1.0, "accumulation": 1, "patience": 0}
    training, watch, checkpoint = trainer.build(
        model,
        Dataset.from_dict(columns),
        MultipleNegativesRankingLoss(model, scale=1 / settings["tau"]),
        evaluator,
        settings | fixed,
        folder,
        SentenceTransformerDataCollator(lambda sentences, **_: preprocess(sentences)),
        report_to=[],
    )
    training.train(resume_from_checkpoint=checkpoint)
    return watch.summary()
