"""Tasks that MTEB does not have: transfer (SentEval), EvalRank, and measures of the representation itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.evaluate import data_tables as tables
from rankrefine.evaluate.catalogue import TRANSFER
from rankrefine.evaluate.sentence_pairs import distinct_sentences, positives

if TYPE_CHECKING:
    import pyarrow as pa
    from sentence_transformers import SentenceTransformer

    from rankrefine.evaluate.metric import Metric

BATCH_SIZE = 32
FOLD_SEED = 0  # which examples are in which fold is part of the task, not of the run
BACKGROUND = ("train", "validation")  # other splits whose sentences EvalRank searches, where there are any


def files(task: str, path: Path) -> dict[str, Path]:
    """The file of each split that the task needs.

    Raises:
        UserError: one is missing.
    """
    if task in TRANSFER:
        from rankrefine.evaluate.tasks.transfer import TRANSFER as PROTOCOLS

        wanted = PROTOCOLS[task].splits or sorted(file.stem for file in path.glob("*.parquet")) or ("test",)
    else:
        wanted = ("test",)
    if path.is_file() and len(wanted) > 1:
        raise UserError(tables.needs_folder(task, wanted, path))
    found = {split: tables.split_file(task, split, path) for split in wanted}
    if task == "EvalRank" and path.is_dir():
        found |= {split: path / f"{split}.parquet" for split in BACKGROUND if (path / f"{split}.parquet").is_file()}
    return found


def size(setting: dict[str, Any]) -> tuple[int, str]:
    """How many pairs or examples the task is scored on, and what they are.

    Raises:
        UserError: a table does not fit, or its labels or scores do not suit the task.
    """
    import pyarrow.compute as pc

    task, read = setting["task"], _read(setting)
    if task not in TRANSFER:
        test = read["test"]
        if task == "EvalRank":  # a pair of equal sentences has nothing to find
            test = test.filter(pc.not_equal(test["sentence1"], test["sentence2"]))
        positives(test["score"].to_numpy())
        return len(read["test"]), "pairs"
    from rankrefine.evaluate.tasks.transfer import TRANSFER as PROTOCOLS
    from rankrefine.evaluate.tasks.transfer import check_labels

    check_labels(task, _labels(read), {split: _file(setting, split) for split in read})
    scored = ["test"] if PROTOCOLS[task].splits else list(read)
    return sum(len(read[split]) for split in scored), "examples"


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
        from rankrefine.evaluate.tasks.transfer import transfer

        vectors = {split: [_embed(encoder, column) for column in _texts(table)] for split, table in read.items()}
        return transfer(task, vectors, _labels(read), FOLD_SEED)
    test, gold = read["test"], read["test"]["score"].to_numpy()
    if task == "Representation":
        from rankrefine.evaluate.tasks.representation import representation

        left, right = (_embed(encoder, column) for column in _texts(test))
        distinct, _ = distinct_sentences(*_texts(test))
        return representation(left, right, gold, _embed(encoder, distinct))
    from rankrefine.evaluate.tasks.evalrank import evalrank

    sentences, pairs = distinct_sentences(*_texts(test))
    background = [
        text for split, table in read.items() if split != "test" for column in _texts(table) for text in column
    ]
    return evalrank(_embed(encoder, list(dict.fromkeys([*sentences, *background]))), pairs, gold)


def _read(setting: dict[str, Any]) -> dict[str, pa.Table]:
    """The tables of the task by split.

    Raises:
        UserError: one does not fit, or is not the one that was checked.
    """
    found = {}
    for split in setting["splits"]:
        file = _file(setting, split)
        if io.sha256(file) != setting["files"][file.name]:
            raise UserError(f"{file} has changed since its task was checked; run again from there.")
        if setting["task"] in TRANSFER:
            from rankrefine.evaluate.tasks.transfer import TRANSFER as PROTOCOLS

            found[split] = tables.labelled(file, PROTOCOLS[setting["task"]].texts)
        else:
            found[split] = tables.pairs(file)
    return found


def _file(setting: dict[str, Any], split: str) -> Path:
    name = dict(zip(setting["splits"], setting["files"], strict=True))[split]
    return Path(setting["path"]) / name


def _labels(read: dict[str, pa.Table]) -> dict[str, list[Any]]:
    return {split: table["label"].to_pylist() for split, table in read.items()}


def _texts(table: pa.Table) -> list[list[str]]:
    """The columns of text."""
    return [table[name].to_pylist() for name in table.column_names if name not in ("label", "score", "subset")]


def _embed(encoder: SentenceTransformer, sentences: list[str]) -> np.ndarray:
    return encoder.encode(sentences, batch_size=BATCH_SIZE, show_progress_bar=sys.stderr.isatty())
