"""Text alternatives of the figures: what each one shows, with its main numbers."""

from rankrefine.report.figures.scores import compared
from rankrefine.report.figures.timings import duration
from rankrefine.report.records import Record, Records, genre
from rankrefine.score_table import Score


def differences(records: Records) -> str:
    """List the differences of the exported experiment by task and genre."""
    return "; ".join(_row(row) for row in compared(records) if row.model == records.chosen)


def models(records: Records) -> str:
    """List the differences of all models by task."""
    rows = [row for row in compared(records) if row.subset == "all" and row.model == records.experiment(row)]
    return "; ".join(f"{row.model}, {_row(row)}" for row in rows)


def _row(row: Score) -> str:
    place = row.task if row.subset == "all" else f"{row.task} {genre(row.subset)}"
    low, high = row.show("delta_low"), row.show("delta_high")
    return f"{place}: {row.show('delta')}" + (f", interval {low} to {high}" if low and high else "")


def similarity(records: Records) -> str:
    """Give the mean at the first and the last rank."""
    first, last = records.similarity["by_rank"][0], records.similarity["by_rank"][-1]
    return (
        f"The mean cosine goes from {first['mean']:.2f} at rank {first['rank']} "
        f"to {last['mean']:.2f} at rank {last['rank']}."
    )


def target_order(records: Records) -> str:
    """List both shares of each experiment."""
    return "; ".join(
        f"{each.name}: {each.generated:.2f} as generated, {each.teacher:.2f} as the teacher"
        for each in records.agreements
    )


def training(records: Records) -> str:
    """Give the development score before and after the training that was exported."""
    return _gain(records.history)


def base_training(records: Records) -> str:
    """Give the development score of the base encoder before and after its training."""
    return _gain(records.base.history)


def _gain(history: Record) -> str:
    before, after, step = (history[key] for key in ("base_development", "best_development", "best_step"))
    return f"The development score goes from {before:.2f} to {after:.2f} at step {step}."


def timings(records: Records) -> str:
    """List the times of the stages."""
    return "; ".join(f"{stage.name} {duration(stage.seconds)}" for stage in records.stages)


def drops(records: Records) -> str:
    """Give the numbers of sentences and lists."""
    pool, lists = records.seeds, records.consolidate
    return (
        f"{pool['read']:,} raw sentences, {pool['kept']:,} in the pool, {lists['read']:,} rewritten, "
        f"{lists['kept']:,} ranking lists."
    )
