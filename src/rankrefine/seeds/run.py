"""Stage 1, seed sentences: `python -m rankrefine seeds --assets MANIFEST… --output pool.parquet --stats pool.json`.

Reads all sources, normalises, filters, drops what repeats or what belongs to an evaluation set, and writes everything
that is left, in selection order. How many of them are used is not decided here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest
from rankrefine.errors import UserError
from rankrefine.provenance import Record
from rankrefine.text import normal_form as clean
from rankrefine.text import readers as read
from rankrefine.text.duplicates import REASONS, Comparison, Contamination, NearDuplicates
from rankrefine.text.tally import Tally
from rankrefine.text.words import words

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


LONGEST = 1_000_000  # characters; what is longer is no sentence, whatever `seeds.max_words`
BATCH = 10_000  # sentences that are Python objects at a time; all others lie in a table


def run(config: dict[str, Any], assets: list[Path], output: Path, stats: Path) -> None:
    """Write the pool (parquet: seed_id, text, source) and its statistics (JSON).

    Args:
        config: completed config; read are `seed` and `seeds` without `seeds.count`.
        assets: manifests of all sources and of all sets to decontaminate from, in any order.
        output: the pool.
        stats: the stage record, with counts per reason, and per source and reason.

    Raises:
        UserError: a source that is empty, can not be read or lacks its column or split; nothing left to keep.
    """
    section = {key: value for key, value in config["seeds"].items() if key != "count"}
    config = {"seed": config["seed"], "seeds": section}
    record = Record("seeds", config, "datasketch", "numpy", "pyarrow")
    manifests = {found.source: found for found in map(load_manifest, assets)}
    filters = clean.filters(config["seeds"])
    tally = Tally([source["name"] for source in config["seeds"]["sources"]], [*filters, *REASONS])
    pool = _distinct(_in_order(_candidates(config, filters, manifests, tally)), config["seeds"], manifests, tally)
    if not len(pool):
        raise UserError(f"No seed sentence is left; loosen the filters under seeds ({tally.sentence()}).")
    _write(output, pool)
    revisions = {source: found.revision for source, found in sorted(manifests.items())}
    io.write_json(stats, record.finish(**tally.summary(), assets=revisions))
    log.info("seeds: %s", tally.sentence())


def _candidates(
    config: dict[str, Any], filters: clean.Filters, manifests: dict[str, Manifest], tally: Tally
) -> Iterator[tuple[int, str, str]]:
    """What passes the filters, from all sources: place in the selection order, text, source."""
    from tqdm import tqdm

    for source in config["seeds"]["sources"]:
        name, path = source["name"], _manifest(source["source"], manifests).path
        raw = read.sentences(path, source["column"], source["split"])
        for line in tqdm(raw, desc=f"read {name}", unit=" sentences", disable=None):
            tally.read(name)
            if line and len(line) > LONGEST:
                tally.drop(name, clean.normalise(line[:LONGEST]), "too long")
                continue
            text = clean.normalise(line or "")
            reason = next((reason for reason, drops in filters.items() if drops(text)), None)
            if reason is None:
                yield int.from_bytes(clean.digest(text, config["seed"])), text, name
            else:
                tally.drop(name, text, reason)
        if tally.is_blank(name):
            raise UserError(f"seeds.sources: '{name}' ({path}) holds no text.")


def _in_order(sentences: Iterable[tuple[int, str, str]]) -> pa.Table:
    """A table (place, text, source) in selection order, whatever order sources are listed in."""
    import pyarrow as pa

    schema = pa.schema({"place": pa.uint64(), "text": pa.large_string(), "source": pa.string()})
    batches = []
    remaining = iter(sentences)
    while some := list(islice(remaining, BATCH)):
        batches.append(pa.record_batch(list(zip(*some, strict=True)), schema=schema))
    return pa.Table.from_batches(batches, schema).sort_by([(name, "ascending") for name in schema.names])


def _distinct(candidates: pa.Table, section: dict[str, Any], manifests: dict[str, Manifest], tally: Tally) -> pa.Table:
    """What neither repeats an earlier candidate nor belongs to an evaluation set."""
    import pyarrow as pa
    from tqdm import tqdm

    paths = [_manifest(source, manifests).path for source in section["decontaminate"]]
    texts = (text for path in paths for text in read.everything(path))
    comparison = Comparison(Contamination(texts, section["overlap_ngram"], section["overlap_limit"]))
    near = NearDuplicates(section["near_duplicate_threshold"], len(candidates))
    keep = []
    for text, source in tqdm(_rows(candidates), total=len(candidates), desc="compare", disable=None):
        tokens = words(text)
        keep.append(not (reason := comparison.reason(tokens)))
        if reason:
            tally.drop(source, text, reason)
        else:
            near.add(tokens)
    left = candidates.filter(pa.array(keep, pa.bool_())).combine_chunks()
    del candidates  # a large corpus is not to be held twice
    column = left["text"].chunk(0) if len(left) else []
    repeated = near.repeated(lambda number: words(column[number].as_py()))
    for number in repeated:
        tally.drop(left["source"][number].as_py(), column[number].as_py(), "near duplicate")
    return left.filter(pa.array([number not in repeated for number in range(len(left))], pa.bool_()))


def _rows(table: pa.Table) -> Iterator[tuple[str, str]]:
    """Text and source of each row."""
    for batch in table.to_batches(BATCH):
        yield from zip(batch["text"].to_pylist(), batch["source"].to_pylist(), strict=True)


def _manifest(source: str, manifests: dict[str, Manifest]) -> Manifest:
    if source not in manifests:
        raise UserError(f"--assets holds no manifest of {source}; it has: {', '.join(manifests) or 'none'}.")
    return manifests[source]


def _write(output: Path, pool: pa.Table) -> None:
    import pyarrow as pa

    schema = pa.schema(dict.fromkeys(("seed_id", "text", "source"), pa.string()))
    batches = []
    for batch in pool.to_batches(BATCH):
        ids = pa.array([clean.digest(text).hex() for text in batch["text"].to_pylist()], pa.string())
        batches.append(pa.record_batch([ids, batch["text"].cast(pa.string()), batch["source"]], schema=schema))
    io.write_table(output, pa.Table.from_batches(batches, schema).combine_chunks())
