"""Versions of a results folder: its schema, and the libraries of its records.

No heavy library is loaded, because the Snakefile imports this module.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from rankrefine import io
from rankrefine.errors import UserError
from rankrefine.provenance import versions

SCHEMA = 1  # increased when older folders become unreadable; a folder without a stamp has schema 1
STAMP = ".schema"


def check(folder: Path) -> None:
    """Check that the folder has the schema of this version.

    Raises:
        UserError: the schema is older or newer, or its stamp is damaged.
    """
    stamp = folder / STAMP
    text = stamp.read_text(encoding="utf-8", errors="replace").strip() if stamp.exists() else "1"
    if not text.isdecimal():
        raise UserError(
            f"{stamp} is damaged; move {folder}/ away, or write {SCHEMA} into it if this version wrote the folder."
        )
    if int(text) != SCHEMA:
        age = "an older" if int(text) < SCHEMA else "a newer"
        raise UserError(
            f"{folder}/ was written by {age} version of rankrefine (schema {text}; this version has {SCHEMA}); move "
            "it away to start over, or continue with that version."
        )


def stamp(folder: Path) -> None:
    """Write the schema into the folder, unless it has one."""
    if not (folder / STAMP).exists():
        io.write_text(folder / STAMP, f"{SCHEMA}\n")


def differences(records: Iterable[Path]) -> Iterator[str]:
    """Yield a message for each library version in the records that differs from the installed one.

    Missing and damaged records are skipped; the jobs that read them report them.
    """
    files: dict[tuple[str, str], list[Path]] = {}
    for record in records:
        try:
            for package_and_version in json.loads(record.read_text(encoding="utf-8"))["versions"].items():
                files.setdefault(package_and_version, []).append(record)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    for (package, version), affected in files.items():
        installed = versions(package).get(package, "none")
        if package not in ("python", "rankrefine") and version != installed:  # code digests cover these two
            more = f" and {len(affected) - 1} more" if len(affected) > 1 else ""
            yield (
                f"{affected[0]}{more}: generated with {package} {version}, but {installed} is installed. Version "
                "changes do not trigger reruns; use `snakemake -R RULE` to force one."
            )
