"""Scores of an encoder on a task of MTEB, with the numbers per pair or query that intervals are computed from."""

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

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask
    from mteb.results import TaskResult
    from sentence_transformers import SentenceTransformer

BATCH_SIZE = 32  # MTEB's default
MIN_PAIRS = 10  # smaller subsets are not reported
MODEL = {"name": "rankrefine/encoder", "revision": "none"}  # not a guess from the model card; `scores` fills in both


def evaluate(encoder: SentenceTransformer, task: AbsTask) -> tuple[list[Metric], dict[str, Any]]:
    """Evaluate the encoder on an open task.

    Returns:
        The metrics, and the content of MTEB's own files: `result` and `model_meta`.

    Raises:
        UserError: all pairs have the same similarity.
    """
    result, predictions, meta = _run_mteb(encoder, task)
    return metrics(task, result, predictions), {"result": result.model_dump(mode="json"), "model_meta": meta}


def metrics(task: AbsTask, result: TaskResult, predictions: dict[str, Any]) -> list[Metric]:
    """Main score of the task and of its subsets, for STS and reranking with one number per pair or query.

    Raises:
        UserError: all pairs have the same similarity.
    """
    from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS

    scores = {
        (split, score["hf_subset"]): score["main_score"]
        for split in task.eval_splits
        for score in result.scores[split]
    }
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
    name = task.metadata.main_score
    whole = Metric(name, 100 * result.get_score())
    if is_single:
        return [whole]
    has_splits = len(task.eval_splits) > 1
    parts = {f"{split} {subset}" if has_splits else subset: score for (split, subset), score in scores.items()}
    return [whole, *(Metric(name, 100 * score, part) for part, score in parts.items())]


def _of_pairs(rows: Any, predicted: np.ndarray, name: str, value: float) -> list[Metric]:
    """Spearman correlation over all pairs and over the pairs of each subset."""
    gold = np.array(rows["score"][:], dtype=float)
    if not np.isfinite(gold).all():
        raise UserError(
            f"Row {np.flatnonzero(~np.isfinite(gold))[0] + 1} of {name} has no score; download the data again."
        )
    if np.ptp(predicted) == 0:
        raise UserError(f"All {len(predicted)} pairs of {name} have the same similarity; check the encoder's weights.")
    if not math.isclose(correlation := spearman(gold, predicted), 100 * value, abs_tol=1e-7):
        raise RuntimeError(
            f"MTEB's score is {value}, but its predictions have a Spearman correlation of {correlation}"
        )
    metrics = [Metric("spearman", correlation, gold=gold, predicted=predicted)]
    column = next((column for column in SUBSETS if column in rows.column_names), None)
    parts = np.array(rows[column][:] if column else [])
    for part in sorted(set(parts.tolist()) - {"", WHOLE}):
        rows_of_part = parts == part
        part_gold, part_predicted = gold[rows_of_part], predicted[rows_of_part]
        if len(part_gold) < MIN_PAIRS or rows_of_part.all() or np.ptp(part_gold) == 0:
            continue
        if np.ptp(part_predicted) == 0:
            raise UserError(
                f"All pairs of subset {part} of {name} have the same similarity; check the encoder's weights."
            )
        value = spearman(part_gold, part_predicted)
        metrics.append(Metric("spearman", value, str(part), gold=part_gold, predicted=part_predicted))
    return metrics


def _of_queries(
    relevant: dict[str, dict[str, int]], ranked: dict[str, dict[str, float]], name: str, value: float
) -> Metric:
    """Mean average precision with the precision of each query; any other main score without scores per query."""
    import pytrec_eval

    cut = name.rpartition("_")[2]
    if name == f"max_over_subqueries_map_at_{cut}":
        relevant, ranked = _merged(relevant, ranked)
    elif name != f"map_at_{cut}":
        return Metric(name, 100 * value)
    by_query = pytrec_eval.RelevanceEvaluator(relevant, {f"map_cut.{cut}"}).evaluate(ranked)
    scores = 100 * np.array([by_query[query][f"map_cut_{cut}"] for query in sorted(by_query)])
    if not math.isclose(scores.mean(), 100 * value, abs_tol=1e-2):  # MTEB rounds
        raise RuntimeError(f"MTEB's score is {value}, but the mean over its queries is {scores.mean() / 100}")
    return Metric("map", float(scores.mean()), scores=scores)


def _merged(
    relevant: dict[str, dict[str, int]], ranked: dict[str, dict[str, float]]
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Merge the parts of each query (NAME_0, NAME_1, …); a text has its highest similarity to a part, as in MTEB."""
    judged: dict[str, dict[str, int]] = {}
    best: dict[str, dict[str, float]] = {}
    for part, documents in relevant.items():
        name = part.rpartition("_")[0]
        judged[name] = documents  # the same for all parts
        scores = best.setdefault(name, {})
        for document, score in ranked[part].items():
            scores[document] = max(score, scores.get(document, score))
    return judged, best


def spearman(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Spearman's rank correlation x100."""
    return 100 * float(spearmanr(gold, predicted).statistic)


def _run_mteb(encoder: SentenceTransformer, task: AbsTask) -> tuple[TaskResult, dict[str, Any], dict[str, Any]]:
    """Return MTEB's result, its predictions (empty for tasks that save none), and its metadata of the model."""
    mteb = load_mteb()
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

    model = SentenceTransformerEncoderWrapper(encoder)
    model.mteb_model_meta = model.mteb_model_meta.model_copy(update=MODEL)
    with tempfile.TemporaryDirectory(prefix="rankrefine-mteb-") as folder:
        results = mteb.evaluate(
            model,
            tasks=task,
            cache=mteb.ResultCache(folder),
            prediction_folder=folder,
            co2_tracker=False,
            encode_kwargs={"batch_size": BATCH_SIZE, "show_progress_bar": sys.stderr.isatty()},
        )
        file = Path(folder) / task.prediction_file_name
        predictions = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        meta = json.loads(next(Path(folder).rglob("model_meta.json")).read_text(encoding="utf-8"))
    return results.task_results[0], predictions, meta
