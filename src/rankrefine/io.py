"""Input and output: atomic writes, JSON, and parquet with explicit schemas.

Every output of the project is written by `atomic`, so a file that exists is complete.
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

from rankrefine.errors import DiskFull, UserError, reason

if TYPE_CHECKING:
    import pyarrow as pa

# messages for a full disk: the operating system's, and those of torch (two) and datasets
FULL = (
    *("No space left", "Disk quota exceeded", "No usable temporary directory"),
    *("PytorchStreamWriter failed writing", "] . unexpected pos ", "Not enough disk space"),
)


def says_full(text: str) -> bool:
    """Return True if a message reports a full disk."""
    return any(message in text for message in FULL)


def _is_full(error: BaseException | None) -> bool:
    """Return True if an exception, its cause or its context reports a full disk."""
    return error is not None and (
        getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        or says_full(str(error))
        or _is_full(error.__cause__ or error.__context__)
    )


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Re-raise every library's exception for a full disk, while `path` is written, as `DiskFull`."""
    try:
        yield
    except Exception as error:  # safetensors, pyarrow and torch do not raise OSError
        if isinstance(error, DiskFull) or not _is_full(error):
            raise
        raise DiskFull(path) from error


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path for a file or folder, in the same folder as `path`; rename it to `path` on success.

    On failure the temporary file is removed and `path` is unchanged. Temporary files of killed jobs are removed first.

    Raises:
        DiskFull: the disk is full.
    """
    path = Path(path)
    for orphan in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        _remove(orphan)
    # a random name, because an orphaned job of a killed run, perhaps on another node, may still be writing
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _set_permissions(temporary)
            _replace(temporary, path)
    finally:
        _remove(temporary)


def _replace(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`; an existing folder, which cannot be replaced, is first renamed, then removed."""
    if not path.is_dir():
        os.replace(temporary, path)
        return
    old = temporary.with_suffix(".old.part")
    os.replace(path, old)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.replace(old, path)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _set_permissions(path: Path) -> None:
    """Set the permissions of the user's umask, because safetensors makes files private."""
    umask = os.umask(0)
    os.umask(umask)
    for file in [path, *path.rglob("*")]:
        file.chmod((0o777 if file.is_dir() else 0o666) & ~umask)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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
    """Write a parquet file atomically, compressed with zstd."""
    import pyarrow.parquet as pq

    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: str | Path, schema: pa.Schema | None = None) -> pa.Table:
    """Read a parquet file that this project wrote, with these field names and types if `schema` is given.

    Raises:
        UserError: the file is missing, truncated or corrupt, or has another schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # as a file, not a dataset, because folder names such as `x=1` must not become columns
        table = pq.ParquetFile(path).read()
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is corrupt or truncated ({reason(error)}); delete it and run again.") from error
    if schema is not None:
        check_schema(table, schema, path)
    return table


def check_schema(table: pa.Table, schema: pa.Schema, path: str | Path) -> None:
    """Refuse a table, read from `path`, whose field names or types differ from `schema`.

    Raises:
        UserError: they differ.
    """
    if not table.schema.equals(schema):
        raise UserError(f"{path} does not have the columns of this version of rankrefine; delete it and run again.")


def sha256(path: str | Path) -> str:
    """Return the hex SHA-256 of a file's content."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def visible(path: Path) -> list[Path]:
    """Return the files below a folder, sorted, without hidden files and folders; `path` itself if it is a file."""
    if path.is_file():
        return [path]
    files = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts))
