"""Time and memory of each stage, from Snakemake's benchmark files and the records of its jobs."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]
WORK: dict[str, tuple[str, Callable[[Record], float]]] = {  # unit and amount of work of a job, by stage
    "import_lists": ("lists", lambda record: record["read"]),
    "write": ("tokens", lambda record: record.get("tokens") or 0),
    "seeds": ("sentences", lambda record: record["read"]),
    "generate": ("tokens", lambda record: record.get("tokens") or 0),
    "synthesize": ("tokens", lambda record: record.get("tokens") or 0),
    "examples": ("examples", lambda record: record["read"]),
    "likelihood": ("pairs", lambda record: record.get("pairs") or 0),
    "curate": ("examples", lambda record: record["read"]),
    "consolidate": ("lists", lambda record: record["read"]),
    "teacher": ("sentences", lambda record: record.get("sentences", 0)),
    "refine": ("sentences", lambda record: record.get("sentences", 0) * record["config"]["refine"].get("epochs", 1)),
}


@dataclass(frozen=True)
class Job:
    """Cost of one job, as of its last run."""

    seconds: float  # wall time of the process, or of the record if there is no benchmark file
    memory: float | None  # peak resident memory in MB; None if unknown
    cpu: float | None  # processor seconds; None if unknown
    measured: bool  # True if `cpu` was measured, False if it is wall time times the threads in the record
    gpu: float  # GPU seconds, if the record names a GPU


@dataclass(frozen=True)
class Stage:
    """Cost of all jobs of a stage, and their speed."""

    name: str
    jobs: list[Job]
    speed: str = ""

    @property
    def seconds(self) -> float:
        """Wall time of all jobs, one after another."""
        return sum(job.seconds for job in self.jobs)

    @property
    def memory(self) -> float | None:
        """Peak memory of the largest job in MB."""
        return max((job.memory for job in self.jobs if job.memory is not None), default=None)

    @property
    def cpu_hours(self) -> float | None:
        """Processor hours; None if those of a job are unknown."""
        known = [job.cpu for job in self.jobs if job.cpu is not None]
        return sum(known) / 3600 if len(known) == len(self.jobs) else None

    @property
    def gpu_hours(self) -> float:
        """GPU hours of the jobs whose records name a GPU."""
        return sum(job.gpu for job in self.jobs) / 3600

    @property
    def measured(self) -> bool:
        """True if all processor time was measured."""
        return all(job.measured for job in self.jobs)


def stages(jobs: dict[str, dict[str, Record]], benchmarks: Path) -> list[Stage]:
    """Return the cost of each stage that has jobs.

    Args:
        jobs: For each stage the records of its jobs, by the path of the job's benchmark file below `benchmarks`
            without its suffix.
        benchmarks: Folder with Snakemake's benchmark files, some of which may be missing.
    """
    costs = {
        name: [job(record, benchmarks / f"{file}.tsv") for file, record in records.items()]
        for name, records in jobs.items()
    }
    return [Stage(name, cost, _speed(name, jobs[name])) for name, cost in costs.items() if cost]


def job(record: Record, benchmark: Path) -> Job:
    """Return the cost of a job from its record and its benchmark file, if there is one."""
    measured = _benchmark(benchmark)
    seconds = measured.get("s", float(record.get("seconds", 0)))
    cpu, threads = measured.get("cpu_time"), record.get("threads")
    gpu = 0.0 if (record.get("device") or "cpu") in ("cpu", "none") else seconds
    if cpu is None and threads and not gpu:
        cpu = seconds * threads
    return Job(seconds, measured.get("max_rss"), cpu, "cpu_time" in measured, gpu)


def _benchmark(path: Path) -> dict[str, float]:
    """Return the numbers in the last line of a benchmark file, without those that were not measured."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
    except FileNotFoundError:
        return {}
    numbers = {}
    for key, text in (rows[-1] if rows else {}).items():
        try:
            numbers[key] = float(text)
        except (ValueError, TypeError):  # h:m:s, "-" or "NA"
            continue
    return numbers


def _speed(stage: str, records: dict[str, Record]) -> str:
    """Return the work done per second; loading the language model does not count."""
    if stage not in WORK:
        return ""
    unit, amount = WORK[stage]
    work = sum(amount(record) for record in records.values())
    seconds = sum(record.get("generating_seconds") or record.get("seconds", 0) for record in records.values())
    return f"{work / seconds:,.0f} {unit}/s" if work and seconds else ""
