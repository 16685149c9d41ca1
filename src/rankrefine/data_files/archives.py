"""Data files inside of .zip files, read in place: nothing is written to disk under a name from an archive."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

from rankrefine.data_files.lines import TEXT
from rankrefine.errors import UserError, reason

LARGEST = 2**36  # bytes of an unpacked file; the lines of text are in memory one at a time
ENCRYPTED = 1  # bit of the flags


def is_archive(file: Path) -> bool:
    """Return True for a .zip file."""
    return file.suffix.lower() == ".zip"


def member(file: Path, name: str | None) -> zipfile.Path:
    """Return a text file of the archive, which opens like a file of its own: `name`, or the only one.

    Raises:
        UserError: no such file, several without a name, one that is encrypted or too large, or no .zip file.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{file} cannot be read ({reason(error)}); it may be truncated or damaged.") from error
    found = {info.filename: info for info in archive.infolist() if Path(info.filename).suffix.lower() in TEXT}
    chosen = [name] if name is not None else _visible(found)
    listed = ", ".join(_visible(found))
    advice = (
        f"name one of those that can be read: {listed}" if listed else f"unpack it: only {', '.join(TEXT)} are read"
    )
    if len(chosen) != 1 or chosen[0] not in found:
        wanted = "several data files" if len(chosen) > 1 else f"no data file {name}" if name else "no data file"
        raise UserError(f"{file} has {wanted}; {advice}.")
    info = found[chosen[0]]
    if info.flag_bits & ENCRYPTED:
        raise UserError(f"{file}: {info.filename} is encrypted; unpack it first.")
    if info.file_size > LARGEST:
        raise UserError(f"{file}: {info.filename} unpacks to {info.file_size / 1e9:.0f} GB; unpack it first.")
    return zipfile.Path(archive, info.filename)


def _visible(names: Iterable[str]) -> list[str]:
    """Return the names without those of hidden files and of macOS's copies of them."""
    return [name for name in names if not name.startswith("__MACOSX/") and not Path(name).name.startswith(".")]
