"""Tasks that MTEB does not have: transfer (SentEval), EvalRank, and measures of the representation itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.evaluate import tables
from rankrefine.evaluate.catalogue import TRANSFER

if TYPE_CHECKING:
    import pyarrow as pa
    from sentence_transformers import SentenceTransformer

    from rankrefine.evaluate.metric import Metric

BATCH_SIZE = 32
BACKGROUND = ("train", "validation")  # other splits whose sentences EvalRank searches, where there are any


def files(task: str, path: Path) -> dict[str, Path]:
    """The file of each split that the task needs.

    Raises:
        UserError: one is missing.
    """
    if task in TRANSFER:
        from rankrefine.evaluate.transfer import PROTOCOLS

        return {split: tables.split_file(task, split, path) for split in PROTOCOLS[task].splits}
    found = {"test": tables.split_file(task, "test", path)}
    if task == "EvalRank" and path.is_dir():
        found |= {split: path / f"{split}.parquet" for split in BACKGROUND if (path / f"{split}.parquet").is_file()}
    return found


def size(setting: dict[str, Any]) -> tuple[int, str]:
    """How many pairs or examples the task is scored on, and what they are.

    Raises:
        UserError: a table does not fit, or has too few examples of a class.
    """
    read = _read(setting)
    if setting["task"] not in TRANSFER:
        return len(read["test"]), "pairs"
    from rankrefine.evaluate.transfer import PROTOCOLS, check_labels

    labels = {split: np.array(table["label"].to_pylist()) for split, table in read.items()}
    check_labels(setting["task"], labels, setting["path"])
    return len(read[PROTOCOLS[setting["task"]].scored]), "examples"


def texts(setting: dict[str, Any]) -> Iterator[str]:
    """All texts of the task."""
    for table in _read(setting).values():
        for column in table.column_names:
            if column not in ("label", "score", "subset"):
                yield from table[column].to_pylist()


def evaluate(encoder: SentenceTransformer, setting: dict[str, Any]) -> list[Metric]:
    """The metrics of the encoder on the task as `task` prepared it.

    Raises:
        UserError: a table does not fit.
    """
    task, read = setting["task"], _read(setting)
    if task in TRANSFER:
        from rankrefine.evaluate.transfer import transfer

        labels = {split: np.array(table["label"].to_pylist()) for split, table in read.items()}
        return transfer(task, {split: _features(encoder, table) for split, table in read.items()}, labels)
    test = read["test"]
    left, right = (_embed(encoder, test[column].to_pylist()) for column in tables.PAIR)
    gold = test["score"].to_numpy()
    if task == "Representation":
        from rankrefine.evaluate.representation import representation

        return representation(left, right, gold, _distinct(encoder, [test]))
    from rankrefine.evaluate.evalrank import evalrank

    return evalrank(left, right, gold, _distinct(encoder, list(read.values())))


def _read(setting: dict[str, Any]) -> dict[str, pa.Table]:
    """The tables of the task by split.

    Raises:
        UserError: one does not fit, or is not the one that was checked.
    """
    task, found = setting["task"], {}
    for split, name in zip(setting["splits"], setting["files"], strict=True):
        file = Path(setting["path"]) / name
        if io.sha256(file) != setting["files"][name]:
            raise UserError(f"{file} has changed since its task was checked; run again from there.")
        if task in TRANSFER:
            from rankrefine.evaluate.transfer import PROTOCOLS

            found[split] = tables.labelled(file, PROTOCOLS[task].texts)
        else:
            found[split] = tables.pairs(file)
    return found


def _features(encoder: SentenceTransformer, table: pa.Table) -> np.ndarray:
    """What the classifier sees of each row: the vector of its text, or |u - v| and u * v of a pair."""
    vectors = [_embed(encoder, table[name].to_pylist()) for name in table.column_names if name != "label"]
    if len(vectors) == 1:
        return vectors[0]
    left, right = vectors
    return np.hstack([np.abs(left - right), left * right])


def _distinct(encoder: SentenceTransformer, read: list[pa.Table]) -> np.ndarray:
    """Vectors of the distinct sentences of pair tables, in order of appearance."""
    sentences = (text for table in read for name in tables.PAIR for text in table[name].to_pylist())
    return _embed(encoder, list(dict.fromkeys(sentences)))


def _embed(encoder: SentenceTransformer, sentences: list[str]) -> np.ndarray:
    return encoder.encode(sentences, batch_size=BATCH_SIZE, show_progress_bar=sys.stderr.isatty())
