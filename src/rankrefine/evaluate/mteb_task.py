"""MTEB's tasks with their data already loaded, so that MTEB looks for nothing elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankrefine import io
from rankrefine.assets.mteb import known_task
from rankrefine.errors import UserError, reason
from rankrefine.evaluate import data_tables as tables

if TYPE_CHECKING:
    import pyarrow as pa
    from mteb.abstasks.abstask import AbsTask


def opened(setting: dict[str, Any]) -> AbsTask:
    """The task of `setting` (from `task`) with its data.

    Tables are given to it as tables and not as a path: `datasets` would copy them to a cache first.

    Raises:
        UserError: the data are not those that were checked, or cannot be read.
    """
    folder = Path(setting["path"])
    for name, sha256 in setting["files"].items():
        if io.sha256(folder / name) != sha256:
            raise UserError(f"{folder / name} has changed since its task was checked; run again from there.")
    task = known_task(setting["task"])
    origin = {"path": folder.as_posix(), "revision": setting["revision"]}
    task.metadata = task.metadata.model_copy(update={"dataset": origin})
    if setting["kind"] == "mteb":
        _load(task)
        return task
    file = folder / next(iter(setting["files"]))
    if setting["kind"] == "pairs":
        from datasets import Dataset

        task.dataset = {setting["splits"][0]: Dataset.from_dict(tables.pairs(file).to_pydict())}
    else:
        task.dataset = {"default": {setting["splits"][0]: _retrieval(tables.reranking(file))}}
    task.data_loaded = True
    return task


def texts(task: AbsTask) -> Iterator[str]:
    """All texts of an opened task, those of queries and corpora included."""
    for rows in _tables(task.dataset):
        for column in rows.column_names:
            if column != "id":
                yield from (text for value in rows[column] for text in _strings(value))


def size(setting: dict[str, Any]) -> tuple[int, str]:
    """How many pairs, queries or rows a task has, and what they are.

    Raises:
        UserError: as `opened`, or there are none.
    """
    task = opened(setting)
    retrieval = [part["queries"] for part in _parts(task.dataset) if isinstance(part, dict) and "queries" in part]
    count = sum(map(len, retrieval or _tables(task.dataset)))
    if count == 0:
        raise UserError(f"{setting['path']} holds no data for {setting['task']} ({', '.join(setting['splits'])}).")
    return count, "queries" if retrieval else "pairs" if setting["kind"] == "pairs" else "rows"


def _load(task: AbsTask) -> None:
    try:
        task.load_data()
        if hasattr(task, "convert_v1_dataset_format_to_v2"):
            task.convert_v1_dataset_format_to_v2(num_proc=None)
    except Exception as error:  # readers of many formats
        raise UserError(
            f"{task.metadata.dataset['path']} cannot be opened as the data of {task.metadata.name}: {reason(error)}; "
            "it must hold the files of the hub's repository."
        ) from error


def _retrieval(table: pa.Table) -> dict[str, Any]:
    """Queries with candidates in the form in which MTEB holds them; equal texts of a query are one candidate."""
    from datasets import Dataset

    queries, corpus, relevant, candidates = {}, {}, {}, {}
    for number, row in enumerate(table.to_pylist()):
        query = f"q{number:06d}_0"  # of MindSmallReranking MTEB takes what follows the last _ for a part of a query
        queries[query] = row["query"]
        for text in (*row["positive"], *row["negative"]):
            corpus.setdefault(text, f"d{len(corpus):08d}")
        positive = dict.fromkeys(corpus[text] for text in row["positive"])
        relevant[query] = dict.fromkeys(positive, 1)
        candidates[query] = list(positive | dict.fromkeys(corpus[text] for text in row["negative"]))
    return {
        "corpus": Dataset.from_dict({"id": list(corpus.values()), "text": list(corpus), "title": [""] * len(corpus)}),
        "queries": Dataset.from_dict({"id": list(queries), "text": list(queries.values())}),
        "relevant_docs": relevant,
        "top_ranked": candidates,
    }


def _parts(node: Any) -> Iterator[Any]:
    """All nodes of a task's nested dictionaries."""
    yield node
    if isinstance(node, dict):
        for child in node.values():
            yield from _parts(child)


def _tables(node: Any) -> list[Any]:
    from datasets import Dataset

    return [part for part in _parts(node) if isinstance(part, Dataset)]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
