"""Scores of an encoder on a task of MTEB, with the numbers per pair or query that intervals are computed from."""

from __future__ import annotations

import json
import math
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
            encode_kwargs={"batch_size": BATCH_SIZE, "show_progress_bar": False},
        )
        file = Path(folder) / task.prediction_file_name  # some tasks save no predictions
        predictions = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        meta = json.loads(next(Path(folder).rglob("model_meta.json")).read_text(encoding="utf-8"))
    result = results.task_results[0]
    return _metrics(task, result, predictions), {"result": result.model_dump(mode="json"), "model_meta": meta}


def _metrics(task: AbsTask, result: TaskResult, predictions: dict[str, Any]) -> list[Metric]:
    """Main score of the task and of its subsets, for STS and reranking with one number per pair or query."""
    from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS

    main, splits = task.metadata.main_score, task.eval_splits
    scores = {(split, score["hf_subset"]): score["main_score"] for split in splits for score in result.scores[split]}
    whole = Metric(main, 100 * result.get_score())
    has_splits = len(splits) > 1
    if has_splits or {subset for _, subset in scores} != {"default"}:
        parts = {f"{split} {subset}" if has_splits else subset: score for (split, subset), score in scores.items()}
        return [whole, *(Metric(main, 100 * score, part) for part, score in parts.items())]
    split = splits[0]
    if isinstance(task, AbsTaskSTS) and main == "cosine_spearman":
        rows = task.dataset[split] if split in task.dataset else task.dataset["default"][split]
        predicted = np.array(predictions["default"][split]["cosine_scores"])
        return _of_pairs(rows, predicted, task.metadata.name, scores[split, "default"])
    if isinstance(task, AbsTaskRetrieval):
        relevant = task.dataset["default"][split]["relevant_docs"]
        return [_of_queries(relevant, predictions["default"][split], main, scores[split, "default"])]
    return [whole]


def _of_pairs(rows: Any, predicted: np.ndarray, name: str, value: float) -> list[Metric]:
    """Spearman correlation over all pairs and over the pairs of each subset."""
    gold = np.array(rows["score"][:], dtype=float)
    if len(missing := np.flatnonzero(~np.isfinite(gold))):
        raise UserError(f"Row {missing[0] + 1} of {name} has no score; download the data again.")
    whole = _spearman(gold, predicted, f"{len(gold)} pairs of {name}")
    if not math.isclose(whole.value, 100 * value, abs_tol=1e-7):
        raise RuntimeError(f"MTEB's score is {value}, but its predictions have the correlation {whole.value / 100}")
    column = next((column for column in SUBSETS if column in rows.column_names), None)
    of_pair = np.array(rows[column][:] if column else [])
    metrics = [whole]
    for part in sorted(set(of_pair.tolist()) - {"", WHOLE}):
        chosen = of_pair == part
        if chosen.sum() >= MIN_PAIRS and not chosen.all() and np.ptp(gold[chosen]) > 0:
            where = f"pairs of subset {part} of {name}"
            metrics.append(_spearman(gold[chosen], predicted[chosen], where, str(part)))
    return metrics


def _spearman(gold: np.ndarray, predicted: np.ndarray, pairs: str, subset: str = WHOLE) -> Metric:
    """Spearman's rank correlation x100."""
    if np.ptp(predicted) == 0:
        raise UserError(f"All {pairs} have the same similarity; check the encoder's weights.")
    value = 100 * float(spearmanr(gold, predicted).statistic)
    return Metric("spearman", value, subset, gold=gold, predicted=predicted)


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
    metric = Metric.mean("map", 100 * np.array([by_query[query][f"map_cut_{cut}"] for query in sorted(by_query)]))
    if not math.isclose(metric.value, 100 * value, abs_tol=1e-2):  # MTEB rounds
        raise RuntimeError(f"MTEB's score is {value}, but the mean over its queries is {metric.value / 100}")
    return metric


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
