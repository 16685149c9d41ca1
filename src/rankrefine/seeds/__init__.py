"""Stage 1, seed sentences: `python -m rankrefine seeds --assets MANIFEST… --output pool.parquet --stats pool.json`.

Reads all sources, normalises, filters, drops what repeats or what belongs to an evaluation set, and writes everything
that is left, in selection order. How many of them are used is not decided here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest
from rankrefine.errors import UserError
from rankrefine.provenance import Record
from rankrefine.seeds import clean, read
from rankrefine.seeds.compare import REASONS, Comparison, Contamination, NearDuplicates
from rankrefine.seeds.tally import Tally

log = logging.getLogger(__name__)


class Sentence(NamedTuple):
    """A sentence that passed the filters. Sorting gives the selection order, whatever order sources are listed in."""

    place: bytes
    text: str
    source: str


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
    candidates = sorted(_candidates(config, filters, manifests, tally))
    pool = list(_distinct(candidates, config["seeds"], manifests, tally))
    if not pool:
        raise UserError(f"No seed sentence is left; loosen the filters under seeds ({tally.sentence()}).")
    _write(output, pool)
    revisions = {source: found.revision for source, found in sorted(manifests.items())}
    io.write_json(stats, record.finish(**tally.summary(), assets=revisions))
    log.info("seeds: %s", tally.sentence())


def _candidates(
    config: dict[str, Any], filters: clean.Filters, manifests: dict[str, Manifest], tally: Tally
) -> Iterator[Sentence]:
    """What passes the filters, from all sources."""
    from tqdm import tqdm

    for source in config["seeds"]["sources"]:
        name, path = source["name"], _manifest(source["source"], manifests).path
        raw = read.sentences(path, source["column"], source["split"])
        for line in tqdm(raw, desc=f"read {name}", unit=" sentences", disable=None):
            text = clean.normalise(line or "")
            reason = next((reason for reason, drops in filters.items() if drops(text)), None)
            tally.read(name)
            if reason is None:
                yield Sentence(clean.digest(text, config["seed"]), text, name)
            else:
                tally.drop(name, text, reason)
        if tally.is_blank(name):
            raise UserError(f"seeds.sources: '{name}' ({path}) holds no text.")


def _distinct(
    candidates: list[Sentence], section: dict[str, Any], manifests: dict[str, Manifest], tally: Tally
) -> Iterator[Sentence]:
    """What neither repeats an earlier candidate nor belongs to an evaluation set."""
    from tqdm import tqdm

    paths = [_manifest(source, manifests).path for source in section["decontaminate"]]
    texts = (text for path in paths for text in read.everything(path))
    contamination = Contamination(texts, section["overlap_ngram"], section["overlap_limit"])
    comparison = Comparison(contamination, NearDuplicates(section["near_duplicate_threshold"]))
    for sentence in tqdm(candidates, desc="compare", unit=" sentences", disable=None):
        if reason := comparison.reason(sentence.text):
            tally.drop(sentence.source, sentence.text, reason)
        else:
            yield sentence


def _manifest(source: str, manifests: dict[str, Manifest]) -> Manifest:
    if source not in manifests:
        raise UserError(f"--assets holds no manifest of {source}; it has: {', '.join(manifests) or 'none'}.")
    return manifests[source]


def _write(output: Path, pool: list[Sentence]) -> None:
    import pyarrow as pa

    columns = {
        "seed_id": [clean.digest(sentence.text).hex() for sentence in pool],
        "text": [sentence.text for sentence in pool],
        "source": [sentence.source for sentence in pool],
    }
    io.write_table(output, pa.table(columns, schema=pa.schema(dict.fromkeys(columns, pa.string()))))
