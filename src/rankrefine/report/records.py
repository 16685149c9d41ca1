"""The records of a run, as figures and pages read them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rankrefine.report.target_order import Agreement
from rankrefine.report.timings import Record, Stage
from rankrefine.score_table import Score


@dataclass(frozen=True)
class Examples:
    """Training examples of the base encoder, which the language model wrote or which were imported."""

    jobs: dict[str, dict[str, Record]]  # for each stage the records of its jobs, as in `timings.stages`
    scorer: Record | None  # its source and revision, if there is one
    rows: list[dict[str, Any]]  # the first ones of the training
    scores: dict[str, np.ndarray]  # the scorer's, of all that passed the rules, by role; NaN for a missing negative

    @property
    def filtered(self) -> Record:
        """Record of the examples that passed the quality rules."""
        return self.jobs["examples"]["examples"]

    @property
    def curated(self) -> Record | None:
        """Record of those that were chosen by the scorer, if there is one."""
        return self.jobs["curate"]["curate"] if "curate" in self.jobs else None

    @property
    def imported(self) -> bool:
        """True if no language model wrote them in this run."""
        return "synthesize" not in self.jobs


@dataclass(frozen=True)
class Base:
    """The training of the base encoder."""

    history: Record
    examples: Examples | None  # None for other training data


@dataclass(frozen=True)
class Records:
    """The records of a run."""

    budget: Record  # `seeds.count` and `generate.shard_size`, which no stage records; empty for imported lists
    confidence: float  # level of the intervals in the score table
    written: Record | None  # the shards of `write`, joined by `join_shards`; None without a source that is written
    seeds: Record  # the seed pool
    generate: Record  # the shards, joined by `join_shards`
    consolidate: Record  # the ranking lists
    similarity: Record  # the teacher that is shown
    ideal: list[float]  # mean cosine to the seed sentence by rank, after sorting each list by its cosines
    agreements: list[Agreement]  # of each experiment's targets with the generated and the teacher's order
    histories: dict[str, Record]  # each training, by EXPERIMENT/SEED
    base: Base | None  # None if the run does not train its base encoder
    scores: list[Score]
    selection: Record  # the exported encoder and the reason for its choice
    overlap: list[Record]  # seed sentences in the text of each task that was checked
    stages: list[Stage]  # cost of each stage
    examples: list[list[tuple[str, float]]]  # ranking lists: sentences with their teacher cosines to the seed sentence

    @property
    def history(self) -> Record:
        """Record of the training whose encoder was exported."""
        return self.histories[self.selection["chosen"]]

    @property
    def experiments(self) -> list[str]:
        """Names of the experiments, in the order of the candidates."""
        return list(dict.fromkeys(candidate["name"] for candidate in self.selection["candidates"]))

    @property
    def chosen(self) -> str:
        """The experiment whose encoder was exported."""
        return self.selection["chosen"].rpartition("/")[0]

    def histories_of(self, experiment: str) -> list[Record]:
        """Records of an experiment's trainings."""
        return [record for name, record in self.histories.items() if name.rpartition("/")[0] == experiment]

    def experiment(self, row: Score) -> str:
        """Experiment of a row, which is a mean or a single training; the model's name for other encoders."""
        name, _, seed = row.model.rpartition("/")
        return name if seed.isdigit() and name in self.experiments else row.model


def genre(subset: str) -> str:
    """Return the name of a subset for readers: STS Benchmark's own are main-captions, main-forums and main-news."""
    return subset.removeprefix("main-")
