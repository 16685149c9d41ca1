"""An encoder on one of MTEB's tasks: MTEB scores, and its predictions give the numbers behind the intervals."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr

from rankrefine.assets.mteb import load_mteb
from rankrefine.errors import UserError
from rankrefine.evaluate.data_tables import SUBSETS, WHOLE
from rankrefine.evaluate.metric import Metric
from rankrefine.evaluate.mteb_task import opened

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper
    from mteb.results import TaskResult
    from sentence_transformers import SentenceTransformer

BATCH_SIZE = 32  # MTEB's default
SMALLEST = 10  # pairs of a subset that is reported


def evaluate(
    encoder: SentenceTransformer, name: str, revision: str, setting: dict[str, Any]
) -> tuple[list[Metric], dict[str, Any]]:
    """The metrics of the task, and what MTEB itself writes: its result and its notes on the model.

    Args:
        encoder: The encoder.
        name: Its name in tables.
        revision: Its revision.
        setting: The task as `task` prepared it.

    Raises:
        UserError: the data changed since, or all pairs are equally similar.
    """
    task = opened(setting)
    result, predictions, meta = _results(task, _named(encoder, name, revision))
    return metrics(task, result, predictions), {"result": result.model_dump(mode="json"), "model_meta": meta}


def metrics(task: AbsTask, result: TaskResult, predictions: dict[str, Any]) -> list[Metric]:
    """The task's main score, with one number per pair or query where it is made of such, and that of its subsets.

    Raises:
        UserError: all pairs are equally similar.
    """
    from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS

    scores = {(split, subset): one for split in task.eval_splits for subset, one in _by_subset(result, split).items()}
    is_single = len(task.eval_splits) == 1 and {subset for _, subset in scores} == {"default"}
    if is_single and isinstance(task, AbsTaskSTS) and task.metadata.main_score == "cosine_spearman":
        split = task.eval_splits[0]
        rows = task.dataset[split] if split in task.dataset else task.dataset["default"][split]
        predicted = np.array(predictions["default"][split]["cosine_scores"])
        return _of_pairs(rows, predicted, task.metadata.name, scores[split, "default"])
    if is_single and isinstance(task, AbsTaskRetrieval):
        split = task.eval_splits[0]
        relevant = task.dataset["default"][split]["relevant_docs"]
        ranked = predictions["default"][split]
        return [_of_queries(relevant, ranked, task.metadata.main_score, scores[split, "default"])]
    found = [Metric(task.metadata.main_score, 100 * result.get_score())]
    if is_single:
        return found
    several = len(task.eval_splits) > 1
    parts = {f"{split} {subset}" if several else subset: score for (split, subset), score in scores.items()}
    return found + [Metric(found[0].name, 100 * score, part) for part, score in parts.items()]


def _of_pairs(rows: Any, predicted: np.ndarray, name: str, value: float) -> list[Metric]:
    """Spearman's correlation over all pairs, and over those of each subset."""
    gold = np.array(rows["score"][:], dtype=float)
    if not np.isfinite(gold).all():
        raise UserError(
            f"row {np.flatnonzero(~np.isfinite(gold))[0] + 1} of {name} has no score; fetch the data again."
        )
    if np.ptp(predicted) == 0:
        raise UserError(f"all {len(predicted)} pairs of {name} get the same similarity; is the encoder trained?")
    if not math.isclose(found := spearman(gold, predicted), 100 * value, abs_tol=1e-7):
        raise RuntimeError(f"MTEB's score {value} is not the Spearman correlation of its own predictions, {found}")
    metrics = [Metric("spearman", found, gold=gold, predicted=predicted)]
    column = next((column for column in SUBSETS if column in rows.column_names), None)
    parts = np.array(rows[column][:] if column else [])
    for part in sorted(set(parts.tolist()) - {"", WHOLE}):
        held = parts == part
        if held.sum() < SMALLEST or held.all() or np.ptp(gold[held]) == 0:
            continue  # no correlation, or one that says nothing
        if np.ptp(predicted[held]) == 0:
            raise UserError(f"all pairs of {part} in {name} get the same similarity; is the encoder trained?")
        own = {"gold": gold[held], "predicted": predicted[held]}
        metrics.append(Metric("spearman", spearman(**own), str(part), **own))
    return metrics


def _of_queries(
    relevant: dict[str, dict[str, int]], ranked: dict[str, dict[str, float]], name: str, value: float
) -> Metric:
    """Mean average precision with the precision of each query; another main score as it is, without such."""
    import pytrec_eval

    cut = name.rpartition("_")[2]
    if name == f"max_over_subqueries_map_at_{cut}":
        relevant, ranked = _merged(relevant, ranked)
    elif name != f"map_at_{cut}":
        return Metric(name, 100 * value)
    found = pytrec_eval.RelevanceEvaluator(relevant, {f"map_cut.{cut}"}).evaluate(ranked)
    scores = 100 * np.array([found[query][f"map_cut_{cut}"] for query in sorted(found)])
    if not math.isclose(scores.mean(), 100 * value, abs_tol=1e-2):  # MTEB rounds
        raise RuntimeError(f"MTEB's score {value} is not the mean of its own queries, {scores.mean()}")
    return Metric("map", float(scores.mean()), scores=scores)


def _merged(
    relevant: dict[str, dict[str, int]], ranked: dict[str, dict[str, float]]
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Queries in parts (NAME_0, NAME_1, …) as one each: a text is as near as to the nearest part, as for MTEB."""
    judged: dict[str, dict[str, int]] = {}
    best: dict[str, dict[str, float]] = {}
    for part, documents in relevant.items():
        name = part.rpartition("_")[0]
        judged[name] = documents  # the same for all parts
        found = best.setdefault(name, {})
        for document, score in ranked[part].items():
            found[document] = max(score, found.get(document, score))
    return judged, best


def spearman(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Spearman's rank correlation x100."""
    return 100 * float(spearmanr(gold, predicted).statistic)


def _results(
    task: AbsTask, model: SentenceTransformerEncoderWrapper
) -> tuple[TaskResult, dict[str, Any], dict[str, Any]]:
    """MTEB's result, what it predicted (empty for tasks that keep no predictions), and what it notes of the model."""
    mteb = load_mteb()
    with tempfile.TemporaryDirectory(prefix="rankrefine-mteb-") as folder:
        found = mteb.evaluate(
            model,
            tasks=task,
            cache=mteb.ResultCache(folder),
            prediction_folder=folder,
            co2_tracker=False,
            encode_kwargs={"batch_size": BATCH_SIZE, "show_progress_bar": sys.stderr.isatty()},
        )
        file = Path(folder) / task.prediction_file_name
        saved = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        meta = json.loads(next(Path(folder).rglob("model_meta.json")).read_text(encoding="utf-8"))
    return found.task_results[0], saved, meta


def _by_subset(result: TaskResult, split: str) -> dict[str, float]:
    return {score["hf_subset"]: score["main_score"] for score in result.scores[split]}


def _named(encoder: SentenceTransformer, name: str, revision: str) -> SentenceTransformerEncoderWrapper:
    """The encoder in MTEB's wrapper, filed under our name and revision instead of a guess from its model card."""
    load_mteb()
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

    wrapper = SentenceTransformerEncoderWrapper(encoder)
    filed = {"name": f"rankrefine/{name.replace('/', '-')}", "revision": revision}
    wrapper.mteb_model_meta = wrapper.mteb_model_meta.model_copy(update=filed)
    return wrapper
