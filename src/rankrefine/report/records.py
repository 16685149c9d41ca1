"""The records of a run, as figures and pages read them."""

from __future__ import annotations

from dataclasses import dataclass

from rankrefine.report.target_order import Agreement
from rankrefine.report.timings import Record, Stage
from rankrefine.score_table import Score


@dataclass(frozen=True)
class Records:
    """The records of a run.

    Attributes:
        budget: `seeds.count` and `generate.shard_size`, which are in no stage's record; empty for imported lists.
        confidence: Level of the intervals in the score table.
        seeds: Record of the seed pool.
        generate: Records of the shards, joined by `join_shards`.
        consolidate: Record of the ranking lists.
        similarity: Record of the teacher that is shown.
        ideal: Mean cosine to the seed sentence by rank, after sorting each list by its cosines.
        agreements: Agreement of each experiment's targets with the generated and the teacher's order.
        histories: Record of each training, by EXPERIMENT/SEED.
        scores: Rows of the score table.
        selection: The exported encoder and the reason for its choice.
        overlap: Number of seed sentences in the text of each task that was checked.
        stages: Cost of each stage.
        examples: Ranking lists as pairs of a sentence and its teacher cosine to the seed sentence.
    """

    budget: Record
    confidence: float
    seeds: Record
    generate: Record
    consolidate: Record
    similarity: Record
    ideal: list[float]
    agreements: list[Agreement]
    histories: dict[str, Record]
    scores: list[Score]
    selection: Record
    overlap: list[Record]
    stages: list[Stage]
    examples: list[list[tuple[str, float]]]

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
