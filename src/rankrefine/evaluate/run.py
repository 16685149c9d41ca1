"""Evaluate one encoder on one task.

Results keep the prediction for each pair, query or example, from which `scores` computes intervals.
"""

import logging
from pathlib import Path

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.encoders.counting import count_in_encode
from rankrefine.encoders.opening import open_encoder
from rankrefine.errors import UserError
from rankrefine.evaluate.embedding_cache import EmbeddingCache, cache_folder
from rankrefine.evaluate.prepared import PreparedTask
from rankrefine.evaluate.tasks.task import load
from rankrefine.provenance import Record

log = logging.getLogger(__name__)


def run(
    prepared: Path,
    model: Path,
    name: str,
    threads: int | None,
    output: Path,
    pooling: str = "model",
    prompt: str | None = None,
    embedding_cache: Path | None = None,
    code: list[str] | None = None,
) -> None:
    """Stage 5b: evaluate one encoder on one task.

    Args:
        prepared: Prepared task (JSON) from `task`.
        model: Manifest of the encoder.
        name: Name of the encoder in tables, such as `base` or EXPERIMENT/SEED.
        threads: CPU threads to use (default: all).
        output: JSON file to write: metrics, digest of the texts, and for MTEB's tasks its own result.
        pooling: Pooling of the encoder (default: its own).
        prompt: Text before every sentence (default: the encoder's own).
        embedding_cache: Folder of embeddings that the tasks of an encoder share (default: no cache).
        code: Code digests; cached embeddings from different code are not used.

    Raises:
        UserError: the encoder cannot be opened, the data have changed since they were checked, or the embeddings are
            not usable.
    """
    packages = ("mteb", "sentence-transformers", "transformers", "torch", "numpy", "scikit-learn")
    settings = {"pooling": pooling, "prompt": prompt}
    record = Record("evaluate", settings, *packages)
    task, manifest = PreparedTask.read(prepared), load_manifest(model)
    encoder = open_encoder(manifest.path, pooling, prompt, threads)
    count_in_encode(encoder, f"{name} on {task.task}")
    device = str(encoder.device)
    folder = embedding_cache and cache_folder(embedding_cache, manifest, settings, device, code or [])
    cache = EmbeddingCache(encoder, task.task, folder)
    try:
        metrics, mteb = load(task.module, task.task).evaluate(encoder, task)
    except UserError as error:  # some errors name no file
        if str(manifest.path) in str(error) or str(task.path) in str(error):
            raise
        raise UserError(f"{manifest.path} on {task.task}: {error}") from error
    cache.save()
    inputs = {"source": manifest.source, "revision": manifest.revision, "data": task.as_dict(), "threads": threads}
    used = {"texts": cache.texts, "encoded": cache.encoded, "device": device}
    fields = {"task": task.task, "model": name, "metrics": [metric.as_dict() for metric in metrics]}
    io.write_json(output, record.finish(**fields, **inputs, **used, mteb=mteb))
    values = ", ".join(f"{metric.name} {metric.value:.2f}" for metric in metrics if metric.subset == "all")
    log.info("%s on %s: %s (%d texts encoded).", name, task.task, values, cache.encoded)
