"""The score table `scores.csv`: its columns, reader and writer, and the text form of its numbers."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from rankrefine import io
from rankrefine.errors import UserError

RAW = ("alignment", "uniformity", "effective_rank")  # metrics that are not x 100, shown with three decimals
NAMES = {"spearman": "Spearman × 100", "map": "MAP × 100", "mrr": "MRR × 100", "effective_rank": "effective rank"}
SIGNED = ("delta", "delta_low", "delta_high")  # columns shown with their sign


@dataclass(frozen=True)
class Score:
    """One row: a model, or the mean over the random seeds of an experiment, on a task or a subset of it.

    `value` is x 100 for correlations, precisions and accuracies. Undefined numbers are NaN.
    """

    model: str  # or the experiment whose trainings are averaged
    seeds: int  # number of trainings in the mean
    task: str
    subset: str  # "all" for the whole task
    metric: str
    n: int | None  # pairs, queries or examples; None for a metric without such units
    value: float
    sd: float  # standard deviation over the trainings
    ci_low: float  # bootstrap interval of the value over the units of the task
    ci_high: float
    delta: float  # difference to the base, with its own standard deviation and interval
    delta_sd: float
    delta_low: float
    delta_high: float
    higher: bool  # True if a higher value is better

    @property
    def key(self) -> tuple[str, str, str]:
        """Task, subset and metric: rows with equal keys can be compared."""
        return self.task, self.subset, self.metric

    @property
    def is_mean(self) -> bool:
        """True for the mean over several trainings."""
        return self.seeds > 1

    @property
    def measure(self) -> str:
        """Name of the metric for readers."""
        return NAMES.get(self.metric, self.metric if self.metric in RAW else f"{self.metric} × 100")

    @property
    def place(self) -> str:
        """Task, followed by the subset unless that is the whole task."""
        return self.task if self.subset == "all" else f"{self.task}, {self.subset}"

    @property
    def significant(self) -> bool:
        """True if the interval of the difference excludes zero."""
        return self.delta_low > 0 or self.delta_high < 0

    def show(self, column: str) -> str:
        """Return a number with the decimals of its metric, differences with their sign; empty if it is undefined."""
        number, sign, decimals = getattr(self, column), "+" if column in SIGNED else "", 3 if self.metric in RAW else 2
        return "" if number != number else f"{number:{sign}.{decimals}f}"

    def show_sd(self, column: Literal["value", "delta"]) -> str:
        """Return a number with its standard deviation, `83.04 ± 0.21`."""
        return " ± ".join(filter(None, (self.show(column), self.show("sd" if column == "value" else "delta_sd"))))

    def show_interval(self, column: Literal["value", "delta"]) -> str:
        """Return the interval of a number with a leading space, ` [80.80, 84.50]`; empty if it is undefined."""
        prefix = "ci" if column == "value" else "delta"
        ends = [self.show(f"{prefix}_{end}") for end in ("low", "high")]
        return f" [{', '.join(ends)}]" if all(ends) else ""


COLUMNS = tuple(field.name for field in fields(Score))
_PARSERS: dict[Any, Callable[[str], Any]] = {  # by the type of a column
    str: str,
    int: int,
    int | None: lambda cell: int(cell) if cell else None,
    float: lambda cell: float(cell or "nan"),
    bool: lambda cell: cell != "False",
}


def read(path: Path) -> list[Score]:
    """Read the score table from CSV.

    Raises:
        UserError: the file does not exist, lacks a column, or has a cell that is not a number where one is required.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            rows = list(reader)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    if missing := [column for column in COLUMNS if column not in (reader.fieldnames or [])]:
        raise UserError(f"{path} is not a score table (no column '{missing[0]}'); delete it and run again.")
    return [_parse(row, f"{path}, line {line}") for line, row in enumerate(rows, start=2)]


def _parse(row: dict[str, str], place: str) -> Score:
    cells = {}
    for field in fields(Score):
        try:
            cells[field.name] = _PARSERS[field.type](row[field.name])
        except ValueError as error:
            problem = f"{field.name} is {row[field.name]!r}, not a number"
            raise UserError(f"{place}: {problem}; delete the file and run again.") from error
    return Score(**cells)


def write(rows: Sequence[Score], output: Path, parquet: Path) -> None:
    """Write the rows as CSV with four decimals and empty cells for undefined numbers, and unrounded as parquet."""
    import pandas as pd
    import pyarrow as pa

    frame = pd.DataFrame([astuple(row) for row in rows], columns=list(COLUMNS))
    frame["n"] = frame["n"].astype("Int64")  # pandas turns integers with a missing value into floats
    io.write_text(output, frame.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
    io.write_table(parquet, pa.Table.from_pandas(frame, preserve_index=False))
