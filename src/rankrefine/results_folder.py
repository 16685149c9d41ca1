"""What a results folder says of the versions that made it. Loads no heavy library: the Snakefile imports it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.provenance import versions

SCHEMA = 1  # raised when files of an older folder cannot be read; a folder without a stamp is of the first one
STAMP = ".schema"


def check(folder: Path) -> None:
    """Refuse a folder of another schema.

    Raises:
        UserError: it is older or newer, or its stamp is damaged.
    """
    stamp = folder / STAMP
    text = stamp.read_text(encoding="utf-8", errors="replace").strip() if stamp.exists() else "1"
    if not text.isdecimal():
        raise UserError(f"{stamp} is damaged; move {folder}/ away, or write {SCHEMA} into it if this version made it.")
    if int(text) != SCHEMA:
        age = "an older" if int(text) < SCHEMA else "a newer"
        raise UserError(
            f"{folder}/ is of {age} version of rankrefine (schema {text}, this one has {SCHEMA}); move it away to "
            "begin anew, or go on with the version that made it."
        )


def stamp(folder: Path) -> None:
    """Say of which schema the folder is."""
    if not (folder / STAMP).exists():
        io.write_text(folder / STAMP, f"{SCHEMA}\n")


def differences(records: Iterable[Path]) -> Iterator[str]:
    """Sentences about libraries that had other versions when stages ran than they have here, one for each version.

    Records that are missing or damaged say nothing; the job that reads them will name them.
    """
    here: dict[str, str] = {}
    found: dict[tuple[str, str], list[Path]] = {}
    for record in records:
        try:
            made_with = json.loads(record.read_text(encoding="utf-8"))["versions"].items()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        for package, version in made_with:
            if package in ("python", "rankrefine"):  # the digests of the code stand for these
                continue
            if package not in here:
                here[package] = versions(package).get(package, "none")
            if version != here[package]:
                found.setdefault((package, version), []).append(record)
    for (package, version), files in found.items():
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        yield (
            f"{files[0]}{more}: made with {package} {version}, but {here[package]} is installed; versions make "
            "nothing run again, snakemake -R RULE does."
        )
