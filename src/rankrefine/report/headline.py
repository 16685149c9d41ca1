"""Headline of the report: what was gained on which test, in words."""

from rankrefine import hub_names
from rankrefine.report.records import Records, genre
from rankrefine.score_table import RAW, Score


def main_row(rows: list[Score], model: str) -> Score | None:
    """Return the main result of `model`: Spearman on the first whole task, or else the first metric that is x 100."""
    own = [row for row in rows if row.model == model and row.delta == row.delta and row.subset == "all"]
    main = [row for row in own if row.metric == "spearman"] or [row for row in own if row.metric not in RAW]
    return main[0] if main else None


def headline(records: Records) -> dict[str, str]:
    """Return the texts of the headline; those of the numbers are empty if there are none."""
    row = main_row(records.scores, records.chosen)
    texts = dict.fromkeys(("number", "interval", "change", "conclusion"), "")
    if row is None:
        text = "The score table has no difference to the base for it."
        return texts | {"title": f"{records.chosen} was exported", "conclusion": text}
    base = next((other for other in records.scores if other.key == row.key and other.model == "base"), None)
    before = f"{base.show('value')} → " if base else ""
    return texts | {
        "title": _title(row),
        "number": row.show("delta"),
        "interval": _interval(row, records.confidence),
        "change": f"{before}{row.show('value')} {row.measure}",
        "conclusion": _conclusion(row),
    }


def _title(row: Score) -> str:
    """Return the result in a few words; without a verb of success if the interval includes zero."""
    if row.delta_low == row.delta_low and not row.significant:
        return f"No clear change on {row.task}"
    return f"Refinement {'gains' if row.delta >= 0 else 'loses'} {row.show('delta').lstrip('+-')} points on {row.task}"


def _interval(row: Score, confidence: float) -> str:
    if row.delta_low != row.delta_low:
        return "no interval"
    return f"{100 * confidence:g} % interval {row.show('delta_low')} to {row.show('delta_high')}"


def _conclusion(row: Score) -> str:
    """Return the sentences about data and interval."""
    units = "test data" if row.n is None else f"{row.n:,} test examples"
    seeds = f"Mean of {row.seeds} training seeds, measured" if row.is_mean else "Measured"
    data = f"{seeds} on {units} that took no part in any choice."
    if row.delta_low != row.delta_low:
        return data
    meaning = (
        "The interval excludes zero: the difference is larger than the choice of examples explains."
        if row.significant
        else "The interval includes zero: the difference may be due to the choice of examples."
    )
    return f"{data} {meaning}"


def by_genre(records: Records) -> str:
    """Return what the exported experiment changes by genre, as a sentence; empty without a genre."""
    main = main_row(records.scores, records.chosen)
    rows = [row for row in records.scores if main and (row.task, row.metric) == (main.task, main.metric)]
    rows = [row for row in rows if row.model == records.chosen and row.subset != "all" and row.delta == row.delta]
    if not rows:
        return ""
    rows.sort(key=lambda row: -row.delta)
    changes = [f"{genre(row.subset)} {row.show('delta')}{' (clear)' if row.significant else ''}" for row in rows]
    return f"On {main.task}: {', '.join(changes)}. A change is clear if its interval excludes zero."


def short_name(source: str) -> str:
    """Return the name of a model without the scheme, folders and revision of its source string."""
    return hub_names.repository(source) or source.rpartition(":")[2].rstrip("/").rpartition("/")[2] or source
