"""Evaluate one encoder on one task: `python -m rankrefine evaluate --prepared results/tasks/X.json …`.

MTEB encodes and scores its tasks; what it predicted for each pair or query is kept, because the intervals of `scores`
need it. Tasks of our own take the same embeddings.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest
from rankrefine.encoders.opening import open_encoder
from rankrefine.errors import UserError
from rankrefine.evaluate import mteb_scores as through_mteb
from rankrefine.evaluate import own
from rankrefine.evaluate.embedding_cache import Memory, store_of
from rankrefine.provenance import Record

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from rankrefine.evaluate.metric import Metric

log = logging.getLogger(__name__)


def run(
    prepared: Path,
    model: Path,
    name: str,
    threads: int | None,
    output: Path,
    pooling: str = "model",
    prompt: str | None = None,
    store: Path | None = None,
    code: Sequence[str] = (),
) -> None:
    """Write the model's metrics on the task, with what their intervals need.

    Args:
        prepared: JSON from `task`.
        model: Manifest of the encoder.
        name: Its name in tables, such as `base` or NAME/SEED.
        threads: Processor threads (default: all).
        output: JSON file to write: task, model, metrics (see `Metric`), digest of the texts, MTEB's own result.
        pooling: Of its token vectors; `model` is the encoder's own.
        prompt: Text before every sentence; None is the encoder's own default.
        store: Folder for embeddings that tasks share; None keeps none.
        code: Digests of the code that encodes: what other code has put into the store is not used.

    Raises:
        UserError: the folder is no encoder, the data changed since `task`, or the embeddings are not usable.
    """
    packages = ("mteb", "sentence-transformers", "transformers", "torch", "numpy", "scikit-learn")
    settings = {"pooling": pooling, "prompt": prompt}
    record = Record("evaluate", settings, *packages)
    setting, manifest = io.read_json(prepared), load_manifest(model)
    encoder = open_encoder(manifest.path, pooling, prompt, threads)
    device = str(encoder.device)
    memory = Memory(encoder, setting["task"], store and store_of(store, manifest, settings, device, list(code)))
    metrics, mteb = _scored(encoder, manifest, name, setting)
    memory.save()
    made_from = {"source": manifest.source, "revision": manifest.revision, "data": setting, "threads": threads}
    used = {"texts": memory.texts, "encoded": memory.encoded, "device": device}
    fields = {"task": setting["task"], "model": name, "metrics": [metric.as_dict() for metric in metrics]}
    io.write_json(output, record.finish(**fields, **made_from, **used, mteb=mteb))
    told = ", ".join(f"{metric.name} {metric.value:.2f}" for metric in metrics if metric.subset == "all")
    log.info("%s on %s: %s (%d texts encoded).", name, setting["task"], told, memory.encoded)


def _scored(
    encoder: SentenceTransformer, manifest: Manifest, name: str, setting: dict[str, Any]
) -> tuple[list[Metric], dict[str, Any] | None]:
    """The metrics, and MTEB's own result where the task is MTEB's.

    Raises:
        UserError: with the model's folder in it.
    """
    try:
        if setting["kind"] == "own":
            return own.evaluate(encoder, setting), None
        return through_mteb.evaluate(encoder, name, manifest.revision, setting)
    except UserError as error:
        if str(manifest.path) in str(error) or setting["path"] in str(error):
            raise
        raise UserError(f"{manifest.path} on {setting['task']}: {error}") from error
