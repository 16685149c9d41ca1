"""Import of existing ranking lists, in place of stages 1 and 2.

The outputs are those of `seeds` and `generate`: a pool of seed sentences and one shard, in the order of the file.
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest
from rankrefine.data_files import tables
from rankrefine.errors import UserError
from rankrefine.import_lists import parse
from rankrefine.progress import track
from rankrefine.provenance import Record
from rankrefine.ranking_lists.schema import SHARD
from rankrefine.text.duplicates import Contamination, KnownSentences
from rankrefine.text.normal_form import text_hash
from rankrefine.text.tally import Tally
from rankrefine.text.words import words

log = logging.getLogger(__name__)

NO_WORDS = "seed sentence: no words"
KNOWN = {reason: f"seed sentence: {reason}" for reason in KnownSentences.REASONS}


def run(
    config: dict[str, Any], data: Path, assets: list[Path], pool: Path, pool_stats: Path, output: Path, stats: Path
) -> None:
    """Import existing ranking lists (in place of stages 1 and 2).

    Args:
        config: Configuration with `lists` and the keys of `seeds` about evaluation sets.
        data: Manifest of the file or folder with the lists.
        assets: Manifests of the sets in `seeds.decontaminate`.
        pool: Seed pool to write (parquet): the first sentence of each list.
        pool_stats: Record of the pool to write (JSON), with counts by reason and examples.
        output: Shard to write (parquet).
        stats: Record of the shard to write (JSON).

    Raises:
        UserError: the file is unreadable, lacks the column or split, or has no usable list.
    """
    record = Record("import_lists", config, "pyarrow")
    section, seeds = config["lists"], config["seeds"]
    manifest, sets = load_manifest(data), [load_manifest(path) for path in assets]
    texts = tables.evaluation_texts(*(each.path for each in sets))
    known = KnownSentences(Contamination(texts, seeds["overlap_ngram"], seeds["overlap_limit"]))
    tally = Tally([manifest.source], [*parse.REASONS, NO_WORDS, *KNOWN.values()])
    values = tables.values(manifest.path, section["column"], section["split"])
    lists = list(_usable(values, known, manifest.source, tally))
    fields = tally.record()
    if not lists:
        example = next((examples[0] for examples in fields["examples"].values()), "it has no rows")
        raise UserError(
            f"lists.file: the column '{section['column']}' of {manifest.path} contains no usable ranking list "
            f"({tally}; {' '.join(example.split())}). A list looks like ['a seed', 'a rewrite', ...]."
        )
    if 2 * fields["kept"] < fields["read"]:
        most = max(fields["dropped"], key=fields["dropped"].get)
        example = " ".join(fields["examples"][most][0].split())
        shown = f"{fields['dropped'][most]} are dropped as '{most}', such as {example}"
        log.warning("lists.file: only %d of %d rows are used; %s.", fields["kept"], fields["read"], shown)
    _write(lists, manifest.source, pool, output)
    io.write_json(pool_stats, record.finish(**fields, assets={each.source: each.revision for each in sets}))
    io.write_json(stats, record.finish(**_shard_fields(manifest, len(lists))))
    log.info("import-lists: %s (%s)", tally, manifest.source)


def _usable(values: Iterable[Any], known: KnownSentences, source: str, tally: Tally) -> Iterator[list[str]]:
    """Yield the usable lists: the first one of each seed sentence that is not in an evaluation set."""
    for row, value in enumerate(track(values, "import-lists", "{done} lists"), start=1):
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
    counts = {"read": count, "kept": count, "dropped": {}, "tokens": 0, "redraws": 0}
    origin = {"imported": True, "model": manifest.source, "revision": manifest.revision, "sampling": {}}
    return counts | origin | dict.fromkeys(("prompt", "prompt_sha256", "prompt_text", "device", "dtype"))


def _write(lists: list[list[str]], source: str, pool: Path, shard: Path) -> None:
    texts, count = [sentences[0] for sentences in lists], len(lists)
    columns = {"seed_id": [text_hash(text).hex() for text in texts], "text": texts, "source": [source] * count}
    io.write_table(pool, pa.table(columns, schema=pa.schema(dict.fromkeys(columns, pa.string()))))
    rest = [lists, ["complete"] * count, [0] * count, [0] * count]
    io.write_table(shard, pa.table([columns["seed_id"], columns["source"], *rest], schema=SHARD))
