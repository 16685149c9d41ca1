"""Files at the rim: atomic writes, JSON, parquet with explicit schemas.

Every output of the project goes through `atomic`, so that a name that exists always holds a finished file.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankrefine.errors import DiskFull, UserError

if TYPE_CHECKING:
    import pyarrow as pa

# how libraries say that the disk is full: those with the system's words, torch (twice) and datasets with their own
FULL = (
    *("No space left", "Disk quota exceeded", "No usable temporary directory"),
    *("PytorchStreamWriter failed writing", "] . unexpected pos ", "Not enough disk space"),
)


def says_full(text: str) -> bool:
    """Whether a message says that a disk is full."""
    return any(words in text for words in FULL)


def is_full(error: BaseException) -> bool:
    """Whether an exception, or one that it was raised for, says that a disk is full."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or says_full(str(error)):
        return True
    cause = error.__cause__ or error.__context__
    return cause is not None and is_full(cause)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Say in one sentence that the disk is full, whatever a library raises while `path` is written.

    Raises:
        DiskFull: the disk is full.
    """
    try:
        yield
    except Exception as error:  # safetensors, pyarrow and torch have errors of their own
        if isinstance(error, DiskFull) or not is_full(error):
            raise
        raise DiskFull(path) from error


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file or folder to; rename it into place when the block succeeds.

    On any failure what was written is removed and `path` is left as it was; what a killed job left is removed first.

    Raises:
        DiskFull: the disk is full.
    """
    path = Path(path)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        _remove(left)
    # a random name: an orphan of a killed run, perhaps on another node, must not write into the same file
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            _open_up(aside)
            _replace(aside, path)
    finally:
        _remove(aside)


def _replace(aside: Path, path: Path) -> None:
    """Rename `aside` to `path`; a folder there, which rename cannot replace, moves out of the way first."""
    if not path.is_dir():
        os.replace(aside, path)
        return
    old = aside.with_suffix(".old.part")
    os.replace(path, old)
    try:
        os.replace(aside, path)
    except BaseException:
        os.replace(old, path)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _open_up(path: Path) -> None:
    """Give what was written the permissions that the user's umask allows; safetensors makes files private."""
    umask = os.umask(0)
    os.umask(umask)
    for file in [path, *path.rglob("*")]:
        file.chmod((0o777 if file.is_dir() else 0o666) & ~umask)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); delete it and run again.") from error


def write_table(path: str | Path, table: pa.Table) -> None:
    """Write a parquet file atomically (zstd)."""
    import pyarrow.parquet as pq

    with atomic(path) as aside:
        pq.write_table(table, aside, compression="zstd")


def read_table(path: str | Path, schema: pa.Schema | None = None) -> pa.Table:
    """Read a parquet file that this project wrote, and check its schema (field names and types) where one is given.

    Raises:
        UserError: the file is missing, truncated or corrupt, or has another schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # a plain file, not a dataset: folder names such as `x=1` must not become columns
        table = pq.ParquetFile(path).read()
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except (pa.ArrowException, OSError) as error:
        first_line = str(error).splitlines()[0]
        raise UserError(f"{path} is corrupt or truncated ({first_line}); delete it and run again.") from error
    if schema is not None and not table.schema.equals(schema):
        raise UserError(f"{path} does not have the columns this version writes; delete it and run again.")
    return table


def sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's content."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
