"""Choose training examples by their ratings (MultiCSR, Wang et al. 2024, step 2), and make scores of the ratings.

With a and b the ratings of the anchor with positive and negative, an example is kept if a >= min_positive, b <=
max_negative and a - b >= min_margin. With `swap`, a negative that is nearer than the positive first changes roles with
it. With `repair`, a text that misses its threshold is replaced or left out, and the example is kept (GCSE).
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.examples.card import render
from rankrefine.examples.partners import partners
from rankrefine.examples.ratings import SCHEMA as RATINGS
from rankrefine.examples.run import SCHEMA as EXAMPLES
from rankrefine.provenance import Record
from rankrefine.text.duplicates import DUPLICATE
from rankrefine.text.tally import Tally

log = logging.getLogger(__name__)

SCHEMA = pa.schema([*EXAMPLES, ("score_negative", pa.float32()), ("kind", pa.string())])
RATED, REPAIRED, RANDOM = "rated", "repaired", "random"  # values of `kind`
Row = dict[str, Any]


def run(
    config: dict[str, Any],
    examples: Path,
    ratings: Path,
    examples_stats: Path,
    ratings_stats: Path,
    output: Path,
    stats: Path,
    card: Path,
) -> None:
    """Choose training examples by their ratings.

    Args:
        config: Configuration with `seed` and `examples`.
        examples: Examples (parquet) from the command `examples`.
        ratings: Ratings (parquet) from the command `rate` or `likelihood`.
        examples_stats: Record (JSON) of the examples.
        ratings_stats: Record (JSON) of the ratings.
        output: Chosen examples to write (parquet); `score` is the rating of the positive, from 0 to 1, smoothed.
        stats: Record to write (JSON), with counts by reason and examples of what was dropped.
        card: Data set card of the chosen examples to write (Markdown).

    Raises:
        UserError: no example is left.
    """
    record = Record("curate", config, "pyarrow")
    section, tally = config["examples"], Tally()
    rows, rated = io.read_table(examples).to_pylist(), io.read_table(ratings, RATINGS).to_pylist()
    for row, rating in zip(rows, rated, strict=True):
        row |= {"score": rating["positive"], "score_negative": rating["negative"], "kind": RATED}
    kept, swapped = choose(rows, section, tally)
    if not kept:
        raise UserError(f"No training example is left ({tally}); loosen the thresholds in the section examples.")
    added = random_pairs(kept, section["random_pairs"], config["seed"])
    io.write_table(output, pa.Table.from_pylist([*kept, *added], SCHEMA))
    mended = sum(row["kind"] == REPAIRED for row in kept)
    counts = {"negatives": sum(row["negative"] is not None for row in kept), "swapped": swapped, "repaired": mended}
    finished = record.finish(**tally.record(), **counts, random_pairs=len(added))
    scorer = io.read_json(ratings_stats)["scorer"]
    io.write_text(card, render(io.read_json(examples_stats), SCHEMA.names, output.name, finished, scorer))
    io.write_json(stats, finished)
    log.info("curate: %s; roles changed in %d, %d repaired, %d random pairs", tally, swapped, mended, len(added))


def choose(rows: Iterable[Row], section: dict[str, Any], tally: Tally) -> tuple[list[Row], int]:
    """Return the examples to keep, with smoothed scores, and the number of those whose roles changed; count all."""
    kept, swapped, seen = [], 0, set()
    for given in rows:
        row, is_swapped = in_order(given, section)
        row = repaired(row, section) if section["repair"] else row
        texts = (row["anchor"], row["positive"], row["negative"])
        reason = problem(row["score"], row["score_negative"], section)
        if reason is None and row["kind"] == REPAIRED and texts in seen:  # as of two bad positives of one anchor
            reason = DUPLICATE
        tally.read(row["source"])
        if reason:
            tally.drop(row["source"], reason, " | ".join(filter(None, texts)))
            continue
        seen.add(texts)
        swapped += is_swapped
        kept.append(row | {"score": smoothed(row["score"], section["smoothing"])})
    return kept, swapped


def in_order(row: Row, section: dict[str, Any]) -> tuple[Row, bool]:
    """Return the example, with `swap` its nearer text as the positive, and True if the roles changed."""
    positive, negative = row["score"], row["score_negative"]
    if negative is None or not section["swap"] or positive >= negative:
        return row, False
    texts = {"positive": row["negative"], "negative": row["positive"]}
    return row | texts | {"score": negative, "score_negative": positive}, True


def repaired(row: Row, section: dict[str, Any]) -> Row:
    """Return the example with the anchor for a positive below min_positive, and without a negative above max_negative.

    Anchor and positive are then one sentence under two dropout masks, as in SimCSE.
    """
    changes: Row = {}
    if row["score"] < section["min_positive"]:
        changes |= {"positive": row["anchor"], "score": 1.0}
    if row["negative"] is not None and row["score_negative"] > section["max_negative"]:
        changes |= {"negative": None, "score_negative": None}
    return row | changes | ({"kind": REPAIRED} if changes else {})


def problem(positive: float, negative: float | None, section: dict[str, Any]) -> str | None:
    """Return the reason to drop an example with these ratings, or None."""
    if positive < section["min_positive"]:
        return "positive: below min_positive"
    if negative is None:
        return None
    if negative > section["max_negative"]:
        return "negative: above max_negative"
    return "positive and negative: within min_margin" if positive - negative < section["min_margin"] else None


def smoothed(score: float, smoothing: float) -> float:
    """Return the score in 0..1, drawn towards 0.5: (1 - s) score + s / 2 (CLAIF's .8 label + .1 is s = 0.2)."""
    return (1 - smoothing) * min(max(score, 0.0), 1.0) + smoothing / 2


def random_pairs(rows: list[Row], count: int, random_seed: int) -> list[Row]:
    """Return pairs of score 0: each anchor, and `count` other ones (CLAIF)."""
    drawn = partners([row["anchor"] for row in rows], count, random_seed)
    first = {row["anchor"]: row for row in reversed(rows)}
    return [
        {key: first[anchor][key] for key in ("seed_id", "source", "anchor")}
        | {"positive": other, "score": 0.0, "kind": RANDOM}
        for anchor, others in drawn.items()
        for other in others
    ]
