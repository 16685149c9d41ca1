"""The score table as the report reads it."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from rankrefine.errors import UserError
from rankrefine.score_table import RAW, Row

TEXTS = ("model", "task", "subset", "metric")
NUMBERS = tuple(field.name for field in fields(Row) if field.name not in (*TEXTS, "higher"))
NAMES = {"spearman": "Spearman × 100", "map": "MAP × 100", "mrr": "MRR × 100", "effective_rank": "effective rank"}


class Score(Row):
    """A row of scores.csv as the report shows it; what does not apply is not a number."""

    @property
    def summary(self) -> bool:
        """Whether this is the mean over several seeds."""
        return self.seeds > 1

    @property
    def measure(self) -> str:
        """The metric's name for readers."""
        return NAMES.get(self.metric, self.metric if self.metric in RAW else f"{self.metric} × 100")

    @property
    def place(self) -> str:
        """Task, and subset unless it is all of it."""
        return self.task if self.subset == "all" else f"{self.task}, {self.subset}"

    @property
    def decimals(self) -> int:
        """How many are shown: alignment and uniformity are small numbers."""
        return 3 if self.metric in ("alignment", "uniformity") else 2

    @property
    def sure(self) -> bool:
        """Whether the interval of the difference excludes zero."""
        return self.delta_low > 0 or self.delta_high < 0

    def show(self, name: str, signed: bool = False) -> str:
        """The number `name` as text; empty where there is none."""
        number = getattr(self, name)
        return "" if number != number else f"{number:{'+' if signed else ''}.{self.decimals}f}"


def read(path: Path) -> list[Score]:
    """The rows of the score table.

    Raises:
        UserError: there is no such file, or it has other columns.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        return [
            Score(
                **{key: row[key] for key in TEXTS},
                **{key: float(row[key] or "nan") for key in NUMBERS},
                higher=row["higher"] != "False",
            )
            for row in rows
        ]
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} is not a score table ({', '.join(field.name for field in fields(Row))}); delete it and run again."
        ) from error


def experiment(row: Score, experiments: Iterable[str]) -> str:
    """The experiment that a row belongs to, summed up or with one seed; of other encoders their name."""
    name, _, seed = row.model.rpartition("/")
    return name if seed.isdigit() and name in experiments else row.model


def main(rows: list[Score], model: str) -> Score | None:
    """The row of `model` that says in short what was gained: Spearman on the first whole task, or what there is."""
    own = [row for row in rows if row.model == model and row.delta == row.delta and row.subset == "all"]
    first = [row for row in own if row.metric == "spearman"] or [row for row in own if row.metric not in RAW]
    return next(iter(first), None)
