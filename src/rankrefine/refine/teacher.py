"""Embed the ranking lists with a frozen teacher, once for all trainings: `python -m rankrefine teacher`."""

import logging
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.encoders.counting import counting
from rankrefine.encoders.embed import embed
from rankrefine.encoders.opening import open_encoder
from rankrefine.errors import UserError
from rankrefine.provenance import Record
from rankrefine.ranking_lists import teacher_embeddings
from rankrefine.ranking_lists.lists import read as read_lists
from rankrefine.ranking_lists.similarity_to_seed import statistics, to_seed

log = logging.getLogger(__name__)


def run(config: dict[str, Any], lists: Path, model: Path, threads: int | None, output: Path, stats: Path) -> None:
    """Embed the ranking lists with a teacher.

    Args:
        config: Configuration of the teacher (section refine).
        lists: Ranking lists (parquet) from consolidate.
        model: Manifest (JSON) of the teacher.
        threads: CPU threads (default: all).
        output: Safetensors file to write: `embeddings` [sentences, dim] float32 normalised, `sizes` [lists] int64.
        stats: Record (JSON) to write, with the teacher's similarities by rank.

    Raises:
        UserError: the lists or the model cannot be used, or embeddings are not finite.
    """
    record = Record("teacher", config, "sentence-transformers", "transformers", "torch")
    section = config["refine"]
    ranking_lists, manifest = read_lists(lists), load_manifest(model)
    sentences = ranking_lists.flat
    encoder = open_encoder(manifest.path, section["teacher_pooling"], section["teacher_prompt"], threads)
    with counting(encoder, "teacher", len(set(sentences))):
        embeddings = embed(encoder, sentences, section["max_length"])
    if not embeddings.isfinite().all():
        raise UserError(f"The teacher {manifest.path} gives embeddings that are not finite; choose another teacher.")
    teacher = {"model": manifest.source, "revision": manifest.revision}
    teacher |= {key: section[key] for key in ("teacher_pooling", "teacher_prompt")}
    teacher_embeddings.write(output, embeddings, ranking_lists, teacher)
    counts = {"lists": len(ranking_lists.ids), "sentences": len(sentences), "distinct": len(set(sentences))}
    cosines = to_seed(embeddings.numpy(), ranking_lists.sizes)
    io.write_json(stats, record.finish(teacher=teacher, **counts, **statistics(cosines)))
    log.info("teacher: %(lists)d lists, %(sentences)d sentences (%(distinct)d distinct).", counts)
