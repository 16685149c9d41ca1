"""What each stage took, from the benchmark files of its jobs and from its records."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]
IMPORTED = "import"  # begins what stands for the model in the record of lists that were not written here
GENERATING = "generating_seconds"  # of a shard's record: without the loading of the model


@dataclass(frozen=True)
class Job:
    """One job, when it last ran.

    Attributes:
        seconds: wall time of its process, or that of its record.
        memory: the most resident memory, in MB; None where no benchmark file tells.
        cpu: processor seconds; None where nothing tells.
        measured: whether `cpu` was measured, or is seconds times the threads that the record names.
        gpu: seconds on a GPU, as far as the record names one.
    """

    seconds: float
    memory: float | None
    cpu: float | None
    measured: bool
    gpu: float


@dataclass(frozen=True)
class Stage:
    """The jobs of a stage, and how fast they were."""

    name: str
    jobs: list[Job]
    speed: str

    @property
    def seconds(self) -> float:
        """Of all jobs, one after another."""
        return sum(job.seconds for job in self.jobs)

    @property
    def memory(self) -> float | None:
        """Of the largest job, in MB."""
        return max((job.memory for job in self.jobs if job.memory is not None), default=None)

    @property
    def cpu_hours(self) -> float | None:
        """None where a job has none."""
        known = [job.cpu for job in self.jobs if job.cpu is not None]
        return sum(known) / 3600 if len(known) == len(self.jobs) else None

    @property
    def gpu_hours(self) -> float:
        """As far as records name a GPU."""
        return sum(job.gpu for job in self.jobs) / 3600

    @property
    def measured(self) -> bool:
        """Whether all processor time was measured."""
        return all(job.measured for job in self.jobs)


def job(record: Record, benchmark: Path) -> Job:
    """A job from its record and from Snakemake's benchmark file, which may be missing."""
    told = _benchmark(benchmark)
    seconds = told.get("s", float(record.get("seconds", 0)))
    cpu, threads = told.get("cpu_time"), record.get("threads")
    device = str(record.get("device") or "cpu")
    gpu = 0.0 if device in ("cpu", "none") else seconds
    if cpu is None and threads and not gpu:
        cpu = seconds * threads
    return Job(seconds, told.get("max_rss"), cpu, "cpu_time" in told, gpu)


def _benchmark(path: Path) -> dict[str, float]:
    """The numbers of the last line of a benchmark file; what was not measured is left out."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
    except FileNotFoundError:
        return {}
    found = {}
    for key, text in (rows[-1] if rows else {}).items():
        try:
            found[key] = float(text)
        except (ValueError, TypeError):  # h:m:s, "-" or "NA"
            continue
    return found


def stages(
    seeds: Record,
    shards: dict[str, Record],
    consolidate: Record,
    base: Record | None,
    teachers: dict[str, Record],
    histories: dict[str, Record],
    evaluations: dict[str, Record],
    benchmarks: Path,
) -> list[Stage]:
    """All stages in their order.

    Args:
        seeds: Record of the pool.
        shards: Of each shard, by its name.
        consolidate: Of the lists.
        base: Of the encoder to refine, where a job made it.
        teachers: Of each teacher, by its slug.
        histories: Of each training, by EXPERIMENT/SEED.
        evaluations: Of each evaluation, by MODEL/TASK.
        benchmarks: Folder with the benchmark files.
    """
    read = seeds["read"] if isinstance(seeds["read"], int | float) else sum(seeds["read"].values())
    if str(next(iter(shards.values())).get("model")).startswith(IMPORTED):  # one job in the place of both
        lists = [_stage("lists", {"lists": seeds}, benchmarks, (read, "lists"))]
    else:
        parts = {f"generate/{name}": record for name, record in shards.items()}
        tokens = sum(record.get("tokens") or 0 for record in shards.values())
        took = sum(record.get(GENERATING) or record.get("seconds", 0) for record in shards.values())
        lists = [
            _stage("seeds", {"seeds": seeds}, benchmarks, (read, "sentences")),
            _stage("generate", parts, benchmarks, (tokens, "tokens"), took),
        ]
    found = [
        *lists,
        _stage("consolidate", {"consolidate": consolidate}, benchmarks, (consolidate["read"], "lists")),
        _stage("base", {"base": base} if base else {}, benchmarks),
        _stage(
            "teacher",
            {f"teacher/{name}": record for name, record in teachers.items()},
            benchmarks,
            (sum(record.get("sentences", 0) for record in teachers.values()), "sentences"),
        ),
        _stage(
            "refine",
            {f"refine/{name}": record for name, record in histories.items()},
            benchmarks,
            (sum(_passes(record) for record in histories.values()), "sentences"),
        ),
        _stage("evaluate", {f"evaluate/{name}": record for name, record in evaluations.items()}, benchmarks),
    ]
    return [stage for stage in found if stage.jobs]


def _passes(history: Record) -> float:
    """Sentences that went through the training."""
    return history.get("sentences", 0) * history.get("config", {}).get("refine", {}).get("epochs", 1)


def _stage(
    name: str,
    records: dict[str, Record],
    benchmarks: Path,
    amount: tuple[float, str] = (0, ""),
    seconds: float | None = None,
) -> Stage:
    """`records` by the benchmark file's name; `amount` of what was done in `seconds`, the records' own by default."""
    took = sum(record.get("seconds", 0) for record in records.values()) if seconds is None else seconds
    speed = f"{amount[0] / took:,.0f} {amount[1]}/s" if amount[0] and took else ""
    return Stage(name, [job(record, benchmarks / f"{file}.tsv") for file, record in records.items()], speed)
