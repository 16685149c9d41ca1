"""Stage 1: the seed sentences.

Everything is kept that passes the filters and neither repeats another sentence nor belongs to an evaluation set, in
selection order. `seeds.count`, which later stages read, says how many of them are used.
"""

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest
from rankrefine.data_files import tables
from rankrefine.errors import UserError
from rankrefine.progress import track
from rankrefine.provenance import Record
from rankrefine.ranking_lists.shards import WRITTEN
from rankrefine.seeds import from_model
from rankrefine.seeds.filters import Filters, filters
from rankrefine.text.duplicates import Contamination, KnownSentences, NearDuplicates
from rankrefine.text.normal_form import normalise, text_hash
from rankrefine.text.tally import Tally
from rankrefine.text.words import words

log = logging.getLogger(__name__)

LONGEST = 1_000_000  # characters; longer text is not a sentence, whatever `seeds.max_words`
BATCH = 10_000  # sentences converted to Python objects at the same time; Arrow tables need less memory
NEAR_DUPLICATE = "near duplicate"


def run(
    config: dict[str, Any],
    assets: list[Path],
    output: Path,
    stats: Path,
    written: Path | None = None,
    requests: int | None = None,
    shard_size: int | None = None,
) -> None:
    """Extract the seed sentences (stage 1).

    Args:
        config: Configuration with `seed` and `seeds`.
        assets: Manifests of all sources and of all sets in `seeds.decontaminate`.
        output: Seed pool to write (parquet): seed_id, text, source.
        stats: Record to write (JSON), with counts by source and reason.
        written: Folder with NAME.parquet and NAME.json of every shard of `write`, for a source that is written.
        requests: Number of its requests to use.
        shard_size: Requests in a shard.

    Raises:
        UserError: a source is empty, unreadable, or lacks its column or split; or no sentence is left.
    """
    record = Record("seeds", config, "datasketch", "numpy", "pyarrow")
    section = config["seeds"]
    manifests = {manifest.source: manifest for manifest in map(load_manifest, assets)}
    tests = filters(section)
    reasons = [*tests, *KnownSentences.REASONS, NEAR_DUPLICATE]
    # the examples are those with the smallest hashes, so they do not depend on the order of the sources
    tally = Tally([each["name"] for each in section["sources"] if each["source"] != WRITTEN], reasons, rank=text_hash)
    shards = from_model.shards(written, requests, shard_size)
    candidates = _sorted_table(_candidates(config, tests, manifests, shards, tally))
    pool = _without_repeats(candidates, section, manifests, tally)
    if not len(pool):
        raise UserError(f"No seed sentence is left ({tally}); loosen the filters in the section seeds.")
    _write(output, pool)
    revisions = {source: manifest.revision for source, manifest in sorted(manifests.items())}
    names = [path.name for path in shards]
    origin = {"made_by": from_model.made_by(shards), "shards": names} if shards else {}
    io.write_json(stats, record.finish(**tally.record(), assets=revisions, **origin))
    log.info("seeds: %s", tally)


def _candidates(
    config: dict[str, Any], tests: Filters, manifests: dict[str, Manifest], shards: from_model.Shards, tally: Tally
) -> Iterator[tuple[int, str, str]]:
    """Yield the sentences of all sources that pass the filters: sort key, text, source."""
    for source in config["seeds"]["sources"]:
        lines = _lines(source, manifests, shards)
        is_blank = True
        for name, line in track(lines, f"seeds, {source['name']}", "{done} sentences"):
            tally.read(name)
            text = normalise((line or "")[:LONGEST])
            is_blank = is_blank and not text
            reason = next((reason for reason, test in tests.items() if test(text)), None)
            if line and len(line) > LONGEST:
                tally.drop(name, "too long", text)
            elif reason is None:
                yield int.from_bytes(text_hash(text, config["seed"])), text, name
            else:
                tally.drop(name, reason, text)
        if is_blank:
            raise UserError(f"seeds.sources: '{source['name']}' ({source['source']}) contains no text.")


def _lines(
    source: dict[str, Any], manifests: dict[str, Manifest], shards: from_model.Shards
) -> Iterator[tuple[str, str | None]]:
    """Yield the sentences of a source: its name, with the genre if the language model wrote the sentence, and text."""
    name = source["name"]
    if source["source"] != WRITTEN:
        lines = tables.sentences(_manifest(source["source"], manifests).path, source["column"], source["split"])
        yield from ((name, line) for line in lines)
    elif shards:
        yield from ((f"{name}/{genre}", sentence) for genre, sentence in from_model.sentences(shards))
    else:
        raise UserError(f"seeds.sources: '{name}' is written by the language model; give its shards by --written.")


def _sorted_table(sentences: Iterable[tuple[int, str, str]]) -> pa.Table:
    """Return a table (key, text, source) in selection order, which does not depend on the order of the sources."""
    schema = pa.schema({"key": pa.uint64(), "text": pa.large_string(), "source": pa.string()})
    batches, remaining = [], iter(sentences)
    while rows := list(islice(remaining, BATCH)):
        batches.append(pa.record_batch(list(zip(*rows, strict=True)), schema=schema))
    return pa.Table.from_batches(batches, schema).sort_by([(name, "ascending") for name in schema.names])


def _without_repeats(
    candidates: pa.Table, section: dict[str, Any], manifests: dict[str, Manifest], tally: Tally
) -> pa.Table:
    """Drop sentences that repeat an earlier one or belong to an evaluation set, then near duplicates of the rest."""
    texts = tables.evaluation_texts(*(_manifest(source, manifests).path for source in section["decontaminate"]))
    known = KnownSentences(Contamination(texts, section["overlap_ngram"], section["overlap_limit"]))
    near = NearDuplicates(section["near_duplicate_threshold"], len(candidates))
    keep = []
    for text, source in track(_rows(candidates), "seeds, repeats", "{done} of {total} sentences", len(candidates)):
        tokens = words(text)
        reason = known.reason(tokens)
        keep.append(reason is None)
        if reason is None:
            near.add(tokens)
        else:
            tally.drop(source, reason, text)
    rest = candidates.filter(pa.array(keep, pa.bool_())).combine_chunks()
    del candidates  # a large corpus must not be in memory twice
    column = rest["text"].chunk(0) if len(rest) else []
    repeated = near.repeated(lambda number: words(column[number].as_py()))
    for number in repeated:
        tally.drop(rest["source"][number].as_py(), NEAR_DUPLICATE, column[number].as_py())
    return rest.filter(pa.array([number not in repeated for number in range(len(rest))], pa.bool_()))


def _rows(table: pa.Table) -> Iterator[tuple[str, str]]:
    """Yield text and source of each row."""
    for batch in table.to_batches(BATCH):
        yield from zip(batch["text"].to_pylist(), batch["source"].to_pylist(), strict=True)


def _manifest(source: str, manifests: dict[str, Manifest]) -> Manifest:
    if source not in manifests:
        raise UserError(f"--assets has no manifest of {source}; available: {', '.join(manifests) or 'none'}.")
    return manifests[source]


def _write(output: Path, pool: pa.Table) -> None:
    schema = pa.schema(dict.fromkeys(("seed_id", "text", "source"), pa.string()))
    batches = []
    for batch in pool.to_batches(BATCH):
        ids = pa.array([text_hash(text).hex() for text in batch["text"].to_pylist()], pa.string())
        batches.append(pa.record_batch([ids, batch["text"].cast(pa.string()), batch["source"]], schema=schema))
    io.write_table(output, pa.Table.from_batches(batches, schema).combine_chunks())
