"""Choose training examples by their ratings (MultiCSR, Wang et al. 2024, step 2).

With a and b the cosines of the anchor to the positive and to the negative, an example is kept if a >= min_positive,
b <= max_negative and a - b >= min_margin. With `swap`, a negative that is nearer than the positive first changes roles
with it.
"""

import logging
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.examples import rate
from rankrefine.examples.card import render
from rankrefine.examples.run import SCHEMA as EXAMPLES
from rankrefine.provenance import Record
from rankrefine.text.tally import Tally

log = logging.getLogger(__name__)

SCHEMA = pa.schema([*EXAMPLES, ("score", pa.float32()), ("score_negative", pa.float32())])


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
        config: Configuration with `examples`.
        examples: Examples (parquet) from the command `examples`.
        ratings: Cosines (parquet) from the command `rate`.
        examples_stats: Record (JSON) of the examples.
        ratings_stats: Record (JSON) of the ratings.
        output: Chosen examples to write (parquet); `score` is the cosine of anchor and positive, at least 0.
        stats: Record to write (JSON), with counts by reason and examples of what was dropped.
        card: Data set card of the chosen examples to write (Markdown).

    Raises:
        UserError: no example is left.
    """
    record = Record("curate", config, "pyarrow")
    section, tally, kept, swapped = config["examples"], Tally(), [], 0
    rows, cosines = io.read_table(examples).to_pylist(), io.read_table(ratings, rate.SCHEMA).to_pylist()
    for row, rating in zip(rows, cosines, strict=True):
        tally.read(row["source"])
        row, is_swapped = in_order(row | {"score": rating["positive"], "score_negative": rating["negative"]}, section)
        if reason := problem(row["score"], row["score_negative"], section):
            tally.drop(
                row["source"], reason, " | ".join(filter(None, (row["anchor"], row["positive"], row["negative"])))
            )
            continue
        swapped += is_swapped
        kept.append(row | {"score": min(max(row["score"], 0.0), 1.0)})
    if not kept:
        raise UserError(f"No training example is left ({tally}); loosen the thresholds in the section examples.")
    io.write_table(output, pa.Table.from_pylist(kept, SCHEMA))
    negatives = sum(row["negative"] is not None for row in kept)
    finished = record.finish(**tally.record(), negatives=negatives, swapped=swapped)
    scorer = io.read_json(ratings_stats)["scorer"]
    io.write_text(card, render(io.read_json(examples_stats), SCHEMA.names, output.name, finished, scorer))
    io.write_json(stats, finished)
    log.info("curate: %s; roles changed in %d", tally, swapped)


def in_order(row: dict[str, Any], section: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the example, with `swap` its nearer text as the positive, and True if the roles changed."""
    positive, negative = row["score"], row["score_negative"]
    if negative is None or not section["swap"] or positive >= negative:
        return row, False
    texts = {"positive": row["negative"], "negative": row["positive"]}
    return row | texts | {"score": negative, "score_negative": positive}, True


def problem(positive: float, negative: float | None, section: dict[str, Any]) -> str | None:
    """Return the reason to drop an example with these cosines, or None."""
    if positive < section["min_positive"]:
        return "positive: below min_positive"
    if negative is None:
        return None
    if negative > section["max_negative"]:
        return "negative: above max_negative"
    return "positive and negative: within min_margin" if positive - negative < section["min_margin"] else None
