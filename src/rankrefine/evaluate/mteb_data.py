"""Data of MTEB's tasks, loaded from local files so that MTEB downloads nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankrefine.assets.mteb import known_task
from rankrefine.errors import UserError, reason
from rankrefine.evaluate import data_tables
from rankrefine.evaluate.prepared import PreparedTask

if TYPE_CHECKING:
    from datasets import Dataset
    from mteb.abstasks.abstask import AbsTask


def open_task(prepared: PreparedTask) -> AbsTask:
    """Return MTEB's task with its data.

    Raises:
        UserError: the data have changed since they were checked, or cannot be read.
    """
    prepared.check_files()
    task = known_task(prepared.task)
    origin = {"path": prepared.path.as_posix(), "revision": prepared.revision}
    task.metadata = task.metadata.model_copy(update={"dataset": origin})
    if prepared.kind == "mteb":
        _load_folder(task, prepared)
        return task
    from datasets import Dataset

    ((split, files),) = prepared.split_files().items()
    if prepared.kind == "pairs":
        # from memory and not by path: `datasets` would first copy the file to its cache
        task.dataset = {split: Dataset.from_dict(data_tables.pairs(files).to_pydict())}
    else:
        task.dataset = {"default": {split: _retrieval(files)}}
    task.data_loaded = True
    return task


def texts(task: AbsTask) -> Iterator[str]:
    """Yield all texts of an open task, including those of queries and corpora."""
    for table in _tables(task.dataset):
        for column in table.column_names:
            if column != "id":
                yield from (text for value in table[column] for text in _strings(value))


def size(task: AbsTask, kind: str) -> tuple[int, str]:
    """Return the number of pairs, queries or rows that are evaluated of an open task, and the name of these units."""
    parts = [part for split in task.eval_splits for part in _of_split(task, split)]
    queries = [part["queries"] for part in parts if isinstance(part, dict) and "queries" in part]
    count = sum(map(len, queries or [table for part in parts for table in _tables(part)]))
    return count, "queries" if queries else "pairs" if kind == "pairs" else "rows"


def _check_splits(task: AbsTask) -> None:
    """Check that loaded data have all splits that are evaluated, and that on which MTEB trains a classifier."""
    for split in (*task.eval_splits, getattr(task, "train_split", None)):
        if split is not None:
            _of_split(task, split)


def _of_split(task: AbsTask, split: str) -> list[Any]:
    """Return the data of a split: {split: data}, or {subset: {split: data}} with all of the subsets that are used."""
    data = task.dataset
    is_nested = any(name in data for name in task.hf_subsets)
    subsets = [data.get(name, {}) for name in task.hf_subsets] if is_nested else [data]
    for subset in subsets:
        if split not in subset:
            names = ", ".join(sorted({name for each in subsets for name in each})) or "none"
            raise UserError(f"the data of {task.metadata.name} have no split '{split}'; their splits are: {names}.")
    return [subset[split] for subset in subsets]


def _load_folder(task: AbsTask, prepared: PreparedTask) -> None:
    try:
        task.load_data()
        if hasattr(task, "convert_v1_dataset_format_to_v2"):
            task.convert_v1_dataset_format_to_v2(num_proc=None)
    except Exception as error:  # the readers of many formats have no common exception
        if isinstance(error, KeyError) and task.dataset:  # MTEB's transformation of the task misses a split
            _check_splits(task)
        raise UserError(
            f"{prepared.path} cannot be opened as the data of {prepared.task}: {reason(error)}; the folder must "
            "contain the files of the task's repository on the hub."
        ) from error
    _check_splits(task)


def _retrieval(files: list[Path]) -> dict[str, Any]:
    """Queries and candidates in MTEB's form; equal texts of a query are one candidate."""
    from datasets import Dataset

    queries, corpus, relevant, candidates = {}, {}, {}, {}
    for number, row in enumerate(data_tables.reranking(files).to_pylist()):
        query = f"q{number:06d}_0"  # MTEB reads the suffix after the last _ as a part of a query in MindSmallReranking
        queries[query] = row["query"]
        for text in (*row["positive"], *row["negative"]):
            corpus.setdefault(text, f"d{len(corpus):08d}")
        relevant[query] = {corpus[text]: 1 for text in row["positive"]}
        candidates[query] = list(relevant[query] | dict.fromkeys(corpus[text] for text in row["negative"]))
    return {
        "corpus": Dataset.from_dict({"id": list(corpus.values()), "text": list(corpus), "title": [""] * len(corpus)}),
        "queries": Dataset.from_dict({"id": list(queries), "text": list(queries.values())}),
        "relevant_docs": relevant,
        "top_ranked": candidates,
    }


def _parts(node: Any) -> Iterator[Any]:
    """Yield all nodes of a task's nested dictionaries."""
    yield node
    if isinstance(node, dict):
        for child in node.values():
            yield from _parts(child)


def _tables(node: Any) -> list[Dataset]:
    from datasets import Dataset

    return [part for part in _parts(node) if isinstance(part, Dataset)]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
