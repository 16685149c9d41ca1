"""python -m rankrefine teacher --lists L.parquet --model M.json --output E.safetensors --stats S.json

The teacher is frozen, so it sees every sentence once for all epochs and all settings of the training.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.encoders.lengths import cut
from rankrefine.encoders.opening import open_encoder
from rankrefine.errors import UserError
from rankrefine.provenance import Record
from rankrefine.ranking_lists.lists import Lists
from rankrefine.ranking_lists.lists import read as read_lists
from rankrefine.ranking_lists.similarity_to_seed import statistics, to_seed
from rankrefine.ranking_lists.teacher_embeddings import write as write_embeddings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

log = logging.getLogger(__name__)
BATCH = 32  # fastest on 2 cores, because batches are sorted by length


def run(config: dict[str, Any], lists: Path, model: Path, threads: int | None, output: Path, stats: Path) -> None:
    """Embed the sentences of all lists with the teacher; describe what it thinks of the generated order.

    Args:
        config: Completed configuration; of it `max_length`, `teacher_pooling` and `teacher_prompt` of `refine`.
        lists: Ranking lists from `consolidate`.
        model: Manifest of the teacher.
        threads: Processor threads (default: torch's own choice).
        output: Safetensors to write: `embeddings` [sentences, dim] float32 normalised, `sizes` [lists] int64.
        stats: JSON to write.

    Raises:
        UserError: unusable lists or model, or embeddings that are not finite.
    """
    settings = {key: config["refine"][key] for key in ("max_length", "teacher_pooling", "teacher_prompt")}
    record = Record("teacher", {"refine": settings}, "sentence-transformers", "transformers", "torch")
    found, manifest = read_lists(lists), load_manifest(model)
    embeddings = embed(opened(manifest.path, settings, threads), found, settings["max_length"])
    if not embeddings.isfinite().all():
        raise UserError(f"The teacher {manifest.path} gives embeddings that are not finite; take another one.")
    named = {"model": manifest.source, "revision": manifest.revision}
    named |= {key: settings[key] for key in ("teacher_pooling", "teacher_prompt")}
    write_embeddings(output, embeddings, found, named)
    summary = statistics(to_seed(embeddings.numpy(), found.sizes))
    counts = {"lists": len(found.ids), "sentences": sum(found.sizes), "distinct": len(set(found.flat))}
    io.write_json(stats, record.finish(teacher=named, **counts, **summary))
    log.info("teacher: %(lists)d lists, %(sentences)d sentences (%(distinct)d distinct).", counts)


def opened(path: Path, settings: dict[str, Any], threads: int | None) -> SentenceTransformer:
    """The teacher with its pooling and prompt."""
    wanted = settings["teacher_pooling"]
    model = open_encoder(path, threads, bare=wanted != "model")
    from rankrefine.encoders import pooling

    model = pooling.with_pooling(model, wanted)
    pooling.set_prompt(model, settings["teacher_prompt"])
    return model


def embed(model: SentenceTransformer, lists: Lists, max_length: int) -> Tensor:
    """Embeddings of the flattened lists, [sentences, dim] float32 normalised; equal sentences are embedded once."""
    distinct = list(dict.fromkeys(lists.flat))
    row = {sentence: i for i, sentence in enumerate(distinct)}
    embedded = model.encode(
        distinct,
        batch_size=BATCH,
        normalize_embeddings=True,
        convert_to_tensor=True,
        processing_kwargs=cut(model, max_length),
        show_progress_bar=sys.stderr.isatty(),
    )
    return embedded.float().cpu()[[row[sentence] for sentence in lists.flat]]
