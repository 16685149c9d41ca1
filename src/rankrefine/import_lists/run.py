"""Import of existing ranking lists, in place of stages 1 and 2.

The outputs are those of `seeds` and `generate`: a pool of seed sentences and one shard, in the order of the file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest
from rankrefine.errors import UserError
from rankrefine.import_lists import parse
from rankrefine.provenance import Record
from rankrefine.ranking_lists.schema import SHARD
from rankrefine.text import readers
from rankrefine.text.duplicates import Contamination, KnownSentences
from rankrefine.text.normal_form import text_hash
from rankrefine.text.tally import Tally
from rankrefine.text.words import words

log = logging.getLogger(__name__)

NO_WORDS = "seed sentence: no words"
KNOWN = {reason: f"seed sentence: {reason}" for reason in KnownSentences.REASONS}


def run(
    config: dict[str, Any],
    data: Path,
    assets: list[Path],
    pool: Path,
    pool_stats: Path,
    output: Path,
    stats: Path,
) -> None:
    """Import existing ranking lists (in place of stages 1 and 2).

    Args:
        config: configuration with `lists` and the keys of `seeds` about evaluation sets.
        data: manifest of the file or folder with the lists.
        assets: manifests of the sets in `seeds.decontaminate`.
        pool: seed pool to write (parquet): the first sentence of each list.
        pool_stats: record of the pool to write (JSON), with counts by reason and examples.
        output: shard to write (parquet).
        stats: record of the shard to write (JSON).

    Raises:
        UserError: the file is unreadable, lacks the column or split, or has no usable list.
    """
    record = Record("import_lists", config, "pyarrow")
    section, seeds = config["lists"], config["seeds"]
    manifest, sets = load_manifest(data), [load_manifest(path) for path in assets]
    texts = (text for each in sets for text in readers.everything(each.path))
    known = KnownSentences(Contamination(texts, seeds["overlap_ngram"], seeds["overlap_limit"]))
    tally = Tally([manifest.source], [*parse.REASONS, NO_WORDS, *KNOWN.values()])
    values = readers.values(manifest.path, section["column"], section["split"])
    lists = list(_usable(values, known, manifest.source, tally))
    fields = tally.record()
    if not lists:
        example = next((found[0] for found in fields["examples"].values()), "it has no rows")
        raise UserError(
            f"lists.file: the column '{section['column']}' of {manifest.path} contains no usable ranking list "
            f"({tally}; {' '.join(example.split())}). A list looks like ['a seed', 'a rewrite', ...]."
        )
    _write(lists, manifest.source, pool, output)
    io.write_json(pool_stats, record.finish(**fields, assets={each.source: each.revision for each in sets}))
    io.write_json(stats, record.finish(**_shard_fields(manifest, len(lists))))
    log.info("import-lists: %s (%s)", tally, manifest.source)


def _usable(values: Iterable[Any], known: KnownSentences, source: str, tally: Tally) -> Iterator[list[str]]:
    """Yield the usable lists: the first one of each seed sentence that is not in an evaluation set."""
    from tqdm import tqdm

    for row, value in enumerate(tqdm(values, desc="import lists", unit="list", disable=None), start=1):
        tally.read(source)
        sentences, reason = parse.as_list(value)
        if reason is None:
            tokens = words(sentences[0])
            reason = KNOWN.get(known.reason(tokens)) if tokens else NO_WORDS
        if reason is None:
            yield sentences
        else:
            # with the row, because some values do not show what is wrong with them
            tally.drop(source, reason, f"row {row}: {value if isinstance(value, str) else repr(value)}")


def _shard_fields(manifest: Manifest, count: int) -> dict[str, Any]:
    """Return the fields of the shard's record; how the lists were written is unknown."""
    return {
        **{"read": count, "kept": count, "dropped": {}, "tokens": 0, "redraws": 0},
        **{"imported": True, "model": manifest.source, "revision": manifest.revision, "sampling": {}},
        **dict.fromkeys(("prompt", "prompt_sha256", "prompt_text", "device", "dtype")),
    }


def _write(lists: list[list[str]], source: str, pool: Path, shard: Path) -> None:
    import pyarrow as pa

    ids = [text_hash(sentences[0]).hex() for sentences in lists]
    sources = [source] * len(lists)
    columns = {"seed_id": ids, "text": [sentences[0] for sentences in lists], "source": sources}
    io.write_table(pool, pa.table(columns, schema=pa.schema(dict.fromkeys(columns, pa.string()))))
    status, zeros = ["complete"] * len(lists), [0] * len(lists)
    io.write_table(shard, pa.table([ids, sources, lists, status, zeros, zeros], schema=SHARD))
