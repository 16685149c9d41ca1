"""Evaluate one encoder on one task, through MTEB: `python -m rankrefine evaluate --prepared results/tasks/X.json …`.

MTEB encodes and scores; what it predicted for each pair is kept, because the intervals of `scores` need it.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest
from rankrefine.encoder import open_encoder
from rankrefine.errors import UserError
from rankrefine.evaluate.offline import load_mteb
from rankrefine.provenance import Record

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper
    from mteb.results import TaskResult
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

BATCH_SIZE = 32  # MTEB's default


def run(prepared: Path, model: Path, name: str, threads: int | None, output: Path) -> None:
    """Write the model's score on the task with gold scores and predicted cosines of all pairs.

    Args:
        prepared: JSON from `task`.
        model: Manifest of the encoder.
        name: Its name in tables, `base` or NAME/SEED.
        threads: Processor threads (default: all).
        output: JSON file to write: task, model, metric, value (x100), gold `[n]`, predicted `[n]`, MTEB's own result.

    Raises:
        UserError: the folder is no encoder, the data changed since `task`, or the embeddings are not usable.
    """
    record = Record("evaluate", {}, "mteb", "sentence-transformers", "transformers", "torch", "numpy")
    setting = io.read_json(prepared)
    manifest = load_manifest(model)
    task = offline_task(setting)
    encoder = open_encoder(manifest.path, threads)
    result, predicted = score(task, _named(encoder, manifest, name), manifest.path)
    gold = task.dataset[setting["split"]]["score"][:]
    value = result.get_score()
    ours = float(spearmanr(gold, predicted).statistic)
    if not math.isclose(ours, value, abs_tol=1e-9):
        raise RuntimeError(f"MTEB's score {value} is not the Spearman correlation of its own predictions, {ours}")
    fields = {"task": setting["task"], "model": name, "metric": "spearman", "value": 100 * value}
    made_from = {"source": manifest.source, "revision": manifest.revision, "data": setting, "threads": threads}
    pairs = {
        "gold": gold,
        "predicted": predicted,
        "mteb": result.model_dump(mode="json"),
        "device": str(encoder.device),
    }
    io.write_json(output, record.finish(**fields, **made_from, **pairs))
    log.info("%s on %s: Spearman %.2f over %d pairs.", name, setting["task"], 100 * value, len(gold))


def offline_task(setting: dict[str, Any]) -> AbsTask:
    """MTEB's task with the prepared data already loaded, so that it looks for nothing elsewhere.

    The data are given to it as a table and not as a path: `datasets` would copy them to a cache in the home folder.

    Raises:
        UserError: the data file is not the one that was checked.
    """
    mteb = load_mteb()
    from datasets import Dataset

    path = Path(setting["path"])
    table = io.read_table(path).select(["sentence1", "sentence2", "score"])
    if io.sha256(path) != setting["sha256"]:
        raise UserError(f"{path} has changed since its task was checked; run again from there.")
    task = mteb.get_task(setting["task"])
    origin = {"path": path.parent.as_posix(), "revision": setting["revision"]}
    task.metadata = task.metadata.model_copy(update={"dataset": origin})
    columns = table.to_pydict()
    task.dataset = {setting["split"]: Dataset.from_dict(columns | {"score": [float(s) for s in columns["score"]]})}
    task.data_loaded = True
    return task


def score(task: AbsTask, model: SentenceTransformerEncoderWrapper, path: Path) -> tuple[TaskResult, list[float]]:
    """MTEB's result, and the cosine it predicted for each pair in the order of the data.

    Args:
        task: A task with its data loaded.
        model: The encoder as MTEB wraps it.
        path: Its folder, for messages.

    Raises:
        UserError: the embeddings hold NaN or infinity, or all pairs are equally similar.
    """
    mteb = load_mteb()
    name = task.metadata.name
    with tempfile.TemporaryDirectory(prefix="rankrefine-mteb-") as folder:
        try:
            found = mteb.evaluate(
                model,
                tasks=task,
                cache=mteb.ResultCache(folder),
                prediction_folder=folder,
                co2_tracker=False,
                encode_kwargs={"batch_size": BATCH_SIZE, "show_progress_bar": sys.stderr.isatty()},
            )
        except ValueError as error:
            if "NaN" in str(error) or "infinity" in str(error):
                raise UserError(f"{path} gives embeddings that hold NaN or infinity on {name}.") from error
            raise
        saved = json.loads((Path(folder) / task.prediction_file_name).read_text(encoding="utf-8"))
    predicted = saved["default"][task.eval_splits[0]]["cosine_scores"]
    if np.ptp(predicted) == 0:
        raise UserError(f"{path} gives all {len(predicted)} pairs of {name} the same similarity; is it trained?")
    return found.task_results[0], predicted


def _named(encoder: SentenceTransformer, manifest: Manifest, name: str) -> SentenceTransformerEncoderWrapper:
    """The encoder in MTEB's wrapper, filed under our name and revision instead of a guess from its model card."""
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

    wrapper = SentenceTransformerEncoderWrapper(encoder)
    filed = {"name": f"rankrefine/{name.replace('/', '-')}", "revision": manifest.revision}
    wrapper.mteb_model_meta = wrapper.mteb_model_meta.model_copy(update=filed)
    return wrapper
