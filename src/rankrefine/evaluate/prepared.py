"""The record of a task whose data were checked: written by `task`, read by `overlap` and `evaluate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from rankrefine import io
from rankrefine.errors import UserError

# form of the data: tables of scored pairs, of queries to rerank or of labelled texts, or a folder for MTEB
Kind = Literal["pairs", "reranking", "labelled", "mteb"]


@dataclass(frozen=True)
class PreparedTask:
    """A task and its data."""

    task: str
    module: str  # in rankrefine.evaluate.tasks
    kind: Kind
    splits: dict[str, list[str]]  # the files of each split, by their paths below `path`; none if MTEB reads the folder
    path: Path
    files: dict[str, str]  # SHA-256 of each file by its path below `path`
    units: int  # pairs, queries, examples or rows that are scored
    source: str  # of the data's manifest, as is the revision
    revision: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the JSON file.

        Raises:
            UserError: it is missing, damaged, or not a prepared task.
        """
        fields = io.read_json(path)
        if not isinstance(fields, dict) or set(fields) != set(cls.__dataclass_fields__):
            raise UserError(f"{path} is not a prepared task; delete it and run again.")
        return cls(**fields | {"path": Path(fields["path"])})

    def as_dict(self) -> dict[str, Any]:
        """Return the fields in plain Python, for JSON."""
        return vars(self) | {"path": self.path.as_posix()}

    def check_files(self) -> None:
        """Compare the files with their hashes.

        Raises:
            UserError: a file has changed.
        """
        for name, sha256 in self.files.items():
            if io.sha256(self.path / name) != sha256:
                raise UserError(f"{self.path / name} has changed since its task was checked; run again from there.")

    def split_files(self) -> dict[str, list[Path]]:
        """Return the files of each split."""
        return {split: [self.path / name for name in names] for split, names in self.splits.items()}


def on_tables(splits: dict[str, list[Path]], folder: Path) -> dict[str, Any]:
    """Return the fields `splits`, `path` and `files` of a task on the files of each split, all below `folder`."""
    files = dict.fromkeys(file for parts in splits.values() for file in parts)
    names = {split: [file.relative_to(folder).as_posix() for file in parts] for split, parts in splits.items()}
    return {"splits": names, "path": folder, "files": hashes(list(files), folder)}


def hashes(files: list[Path], folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file by its path below `folder`."""
    return {file.relative_to(folder).as_posix(): io.sha256(file) for file in files}
