"""In place of stages 1 and 2, `python -m rankrefine lists`: ranking lists that exist already.

Reads the file that `lists.file` names, and writes what `seeds` and `generate` would leave: a pool of seed sentences
and one shard.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.assets.manifest import Manifest, load_manifest
from rankrefine.errors import UserError
from rankrefine.import_lists.parse import REASONS, as_list
from rankrefine.provenance import Record
from rankrefine.ranking_lists.schema import IMPORTED, SHARD
from rankrefine.text import normal_form as clean
from rankrefine.text import readers as read
from rankrefine.text.duplicates import Contamination
from rankrefine.text.words import words

log = logging.getLogger(__name__)
WORDLESS = "its seed sentence has no words"
REPEATED = "its seed sentence stands above"
EVALUATED = "its seed sentence is in an evaluation set"
OVERLAPS = "its seed sentence overlaps an evaluation set"
EXAMPLES = 5  # per reason
LENGTH = 200  # characters of an example


def run(
    config: dict[str, Any],
    data: Path,
    assets: list[Path],
    pool: Path,
    pool_stats: Path,
    output: Path,
    stats: Path,
) -> None:
    """Write the lists of the file that `data` names as a pool and one shard, with their records, in the file's order.

    Args:
        config: completed config; read are `lists` and the keys of `seeds` that speak of evaluation sets.
        data: manifest of the file or folder with the lists.
        assets: manifests of the sets to decontaminate from.
        pool: parquet to write: seed_id, text, source; a list's first sentence is its seed sentence.
        pool_stats: the record of the reading (JSON): rows read, lists kept, dropped by reason, with examples.
        output: the shard to write (parquet).
        stats: its record (JSON).

    Raises:
        UserError: a file that cannot be read, lacks the column or split, or holds no usable list.
    """
    section = config["lists"]
    guard = {key: config["seeds"][key] for key in ("decontaminate", "overlap_ngram", "overlap_limit")}
    record = Record("lists", {"lists": section, "seeds": guard}, "pyarrow")
    found = load_manifest(data)
    sets = [load_manifest(path) for path in assets]
    tally = _Tally()
    texts = (text for each in sets for text in read.everything(each.path))
    contamination = Contamination(texts, guard["overlap_ngram"], guard["overlap_limit"])
    values = read.values(found.path, section["column"], section["split"])
    lists = list(_usable(values, contamination, tally))
    if not lists:
        raise UserError(tally.refusal(found, section["column"]))
    source = {"sources": {found.source: tally.counts()}, "assets": {each.source: each.revision for each in sets}}
    _write(lists, found.source, pool, output)
    io.write_json(pool_stats, record.finish(**tally.counts(), examples=tally.examples, **source))
    io.write_json(stats, record.finish(**_made_by(found, len(lists))))
    log.info("lists: %d of %d rows of %s hold a usable ranking list.", len(lists), tally.read, found.source)


class _Tally:
    """Counts of rows read and dropped by reason, with the first examples of each."""

    def __init__(self) -> None:
        self.read = 0
        self.dropped: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def drop(self, value: Any, reason: str) -> None:
        self.dropped[reason] += 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            # with the row, counted from 1, as some values do not look like what is wrong with them
            shown.append(f"row {self.read}: {value if isinstance(value, str) else repr(value)}"[:LENGTH])

    def counts(self) -> dict[str, Any]:
        reasons = {reason: self.dropped[reason] for reason in (*REASONS, WORDLESS, REPEATED, EVALUATED, OVERLAPS)}
        return {"read": self.read, "kept": self.read - self.dropped.total(), "dropped": reasons}

    def refusal(self, found: Manifest, column: str) -> str:
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.dropped.most_common())
        first = next((shown[0] for shown in self.examples.values()), "it has no rows")
        return (
            f"lists.file: no row of {found.path} holds a usable ranking list in the column '{column}' "
            f"(dropped: {reasons or 'none'}; {' '.join(first.split())}); a list is ['a seed', 'a rewrite', ...]."
        )


def _usable(values: Iterator[Any], contamination: Contamination, tally: _Tally) -> Iterator[list[str]]:
    """The lists that can be ranked, one for each seed sentence that evaluation does not know."""
    from tqdm import tqdm

    seen = set()
    for value in tqdm(values, desc="lists", unit="list", disable=None):
        tally.read += 1
        sentences, reason = as_list(value)
        if not reason:
            tokens = words(sentences[0])
            form = " ".join(tokens)
            if not tokens:
                reason = WORDLESS
            elif form in seen:
                reason = REPEATED
            elif contamination.has(tokens):
                reason = EVALUATED
            elif contamination.overlaps(tokens):
                reason = OVERLAPS
        if reason:
            tally.drop(value, reason)
            continue
        seen.add(form)
        yield sentences


def _made_by(found: Manifest, count: int) -> dict[str, Any]:
    """The fields of a shard's record. What made the lists is known to whoever published them."""
    return {
        **{"read": count, "kept": count, "dropped": {}, "tokens": 0, "redraws": 0},
        **{"model": f"{IMPORTED}{found.source}", "revision": found.revision, "sampling": {}},
        **dict.fromkeys(("prompt", "prompt_sha256", "prompt_text", "device", "dtype")),
    }


def _write(lists: list[list[str]], source: str, pool: Path, shard: Path) -> None:
    import pyarrow as pa

    names = [clean.digest(sentences[0]).hex() for sentences in lists]
    sources = [source] * len(lists)
    columns = {"seed_id": names, "text": [sentences[0] for sentences in lists], "source": sources}
    io.write_table(pool, pa.table(columns, schema=pa.schema(dict.fromkeys(columns, pa.string()))))
    status, zeros = ["complete"] * len(lists), [0] * len(lists)
    io.write_table(shard, pa.table([names, sources, lists, status, zeros, zeros], schema=SHARD))
