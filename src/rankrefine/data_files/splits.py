"""Find the files of a split: in a single file, or in a folder as the hub, `datasets` and our own jobs lay it out.

train.parquet                            one file per split, of any format
train-00000-of-00002.parquet             parts of a split
data/train-00000-of-00002.parquet        the same below data/, or below the folder of the only subset
train/0000.parquet                       a folder per split, with files of any name
data-00000-of-00002.arrow                parts without a split, which are the split train
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rankrefine import io
from rankrefine.errors import UserError

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
EXTENSIONS = (
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson"),
    *(".parquet", ".arrow", ".feather"),
)
# names of a split; the first one is ours
NAMES = (("train", "training"), ("validation", "valid", "val", "dev"), ("test", "testing"))
KNOWN = {name: names[0] for names in NAMES for name in names}
UNNAMED = "train"  # the split of files whose names say nothing, as in `datasets`
# files beside the data: of `datasets`, of the hub, and for people
OTHERS = re.compile(r"(dataset_infos?|dataset_dict|state)\.json|(readme|licen[cs]e|notice|requirements)\b.*", re.I)
NO_DATA = ("", ".md", ".py", ".yaml", ".yml", ".bib", ".cff", ".png", ".jpg", ".svg", ".pdf", ".html")
PART = re.compile(r"(.+?)-(\d{5,})-of-(\d{5,})(?:-[0-9a-f]{16})?")  # the last number is a fingerprint of `datasets`
NUMBERED = re.compile(r"\d+|part-\d+.*")  # the hub's parquet conversion, and Spark


@dataclass(frozen=True)
class Part:
    """A file of a split. `number` orders the parts; `total` is None where the name does not tell it."""

    file: Path
    split: str
    subset: str
    number: str
    total: int | None


def extension(file: Path) -> str:
    """Return the lower-case extension without that of a compression: ".csv" for data.CSV.gz."""
    return Path(file.stem if file.suffix.lower() in COMPRESSED else file.name).suffix.lower()


def data_files(path: Path) -> list[Path]:
    """Return all data files below a folder, sorted; `path` itself if it is a file."""
    if path.is_file():
        return [path]
    return [file for file in io.visible(path) if extension(file) in EXTENSIONS and not OTHERS.fullmatch(file.name)]


def other_files(path: Path) -> list[Path]:
    """Return the files below a folder that may hold data in a format which is not read."""
    known = {*data_files(path)}
    files = (file for file in io.visible(path) if file not in known and not OTHERS.fullmatch(file.name))
    return [file for file in files if file.suffix.lower() not in NO_DATA]


def splits(path: Path) -> list[str]:
    """Return the names of the splits in a folder, sorted."""
    return sorted({part.split for part in _parts(path)})


def has(path: Path, split: str) -> bool:
    """Return True if a folder contains the split, perhaps by another of its names (dev for validation)."""
    return bool(_named(_parts(path), split))


def files(path: Path, split: str) -> list[Path]:
    """Return the files of a split in the order of its parts; `path` itself if it is a file, whatever the split.

    Raises:
        UserError: there is no such split, parts of it are missing, or there are several files that could be it.
    """
    if not path.is_dir():
        return [path]
    parts = _parts(path)
    chosen = sorted(_named(parts, split), key=lambda part: part.number)
    if not chosen:
        found = ", ".join(sorted({part.split for part in parts})) or "none"
        raise UserError(f"{path} has no split '{split}'; available splits: {found}.")
    if len(subsets := sorted({part.subset for part in chosen})) > 1:
        names = ", ".join(subset or "." for subset in subsets)
        raise UserError(f"{path} has several subsets with the split '{split}' ({names}); give the folder of one.")
    totals = {part.total for part in chosen}
    if len({(extension(part.file), part.split) for part in chosen}) > 1 or _repeated(chosen) or len(totals) > 1:
        names = ", ".join(str(part.file.relative_to(path)) for part in chosen[:4])
        raise UserError(f"{path} has the split '{split}' more than once ({names}); keep one of them.")
    if (total := totals.pop()) is not None and len(chosen) != total:
        raise UserError(f"{path} has {len(chosen)} of the {total} files of the split '{split}'; add the others.")
    return [part.file for part in chosen]


def _named(parts: Iterable[Part], split: str) -> list[Part]:
    """Return the parts of the split of that exact name, else of one that means the same."""
    exact = [part for part in parts if part.split == split]
    return exact or [part for part in parts if KNOWN.get(part.split) == split]


def _repeated(parts: list[Part]) -> bool:
    return len({part.number for part in parts}) < len(parts)


def _parts(path: Path) -> list[Part]:
    return [_part(file, file.relative_to(path).parent.parts) for file in data_files(path)]


def _part(file: Path, folders: tuple[str, ...]) -> Part:
    """Return the part that a file is by its name and the names of the folders above it."""
    name = file.name[: file.name.lower().rindex(extension(file))]
    numbered = PART.fullmatch(name)
    stem, number, total = numbered.groups() if numbered else (name, "", None)
    above = [folder for folder in folders if folder != "data"]
    in_split = bool(above) and above[-1] in KNOWN and stem not in KNOWN
    if in_split or (numbered and stem == "data") or NUMBERED.fullmatch(stem):
        stem, number = (above.pop() if above else UNNAMED), number or name
    return Part(file, stem, "/".join(above), number, int(total) if total else None)
