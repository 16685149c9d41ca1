"""The record of a task whose data were checked: written by `task`, read by `overlap` and `evaluate`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rankrefine import io
from rankrefine.errors import UserError

Kind = Literal["pairs", "reranking", "labelled", "mteb"]


@dataclass(frozen=True)
class PreparedTask:
    """A task and its data.

    Attributes:
        task: Name of the task.
        module: Module in `rankrefine.evaluate.tasks` that evaluates it.
        kind: Format of the data: parquet files of scored pairs, of queries to rerank or of labelled texts, or a
            folder that MTEB opens.
        splits: Splits that are read.
        path: Folder of the data.
        files: SHA-256 of each file by its path below `path`; for parquet files in the order of `splits`.
        units: Number of pairs, queries, examples or rows that are scored.
        source, revision: Source string and revision of the data's manifest.
    """

    task: str
    module: str
    kind: Kind
    splits: tuple[str, ...]
    path: Path
    files: dict[str, str]
    units: int
    source: str
    revision: str

    @classmethod
    def read(cls, path: Path) -> PreparedTask:
        """Read the JSON file.

        Raises:
            UserError: it is missing, damaged, or not a prepared task.
        """
        fields = io.read_json(path)
        if not isinstance(fields, dict) or set(fields) != set(cls.__dataclass_fields__):
            raise UserError(f"{path} is not a prepared task; delete it and run again.")
        return cls(**fields | {"splits": tuple(fields["splits"]), "path": Path(fields["path"])})

    def as_dict(self) -> dict[str, Any]:
        """Return the fields in plain Python, for JSON."""
        return asdict(self) | {"splits": list(self.splits), "path": self.path.as_posix()}

    def write(self, path: Path) -> None:
        """Write the JSON file."""
        io.write_json(path, self.as_dict())

    def check_files(self) -> None:
        """Compare the files with their hashes.

        Raises:
            UserError: a file has changed.
        """
        for name, sha256 in self.files.items():
            if io.sha256(self.path / name) != sha256:
                raise UserError(f"{self.path / name} has changed since its task was checked; run again from there.")

    def split_files(self) -> dict[str, Path]:
        """Return the parquet file of each split."""
        return {split: self.path / name for split, name in zip(self.splits, self.files, strict=True)}


def hashes(files: list[Path], folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file by its path below `folder`."""
    return {file.relative_to(folder).as_posix(): io.sha256(file) for file in files}
