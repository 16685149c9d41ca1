"""Lines of UTF-8 text files, compressed or not, in memory of one line."""

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rankrefine.errors import UserError, reason

CHUNK = 2**20  # bytes that are read at a time
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError)
TEXT = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson")  # extensions of formats that are read by lines


def lines_of(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the number of each line, from 1, and its text without the end of the line and the byte order mark.

    `file` may also be a file inside of a .zip (`zipfile.Path`).

    Raises:
        UserError: not UTF-8, or a compressed file that is truncated or damaged.
    """
    offset = 0
    try:
        with _open(file) as stream:
            for number, line in enumerate(_split(stream), start=1):
                try:
                    text = line.decode("utf-8").rstrip("\r")
                except UnicodeDecodeError as error:
                    where = f"line {number}, byte {offset + error.start}"
                    raise UserError(f"{file} is not UTF-8 ({where}); save it as UTF-8.") from error
                offset += len(line) + 1
                del line  # not twice in memory
                yield number, text.removeprefix("\ufeff") if number == 1 else text
    except (*DAMAGED, OSError) as error:
        raise UserError(f"{file} cannot be read ({reason(error)}); it may be truncated or damaged.") from error


def _split(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield lines without their ends. Only a newline ends a line, or a carriage return in a file without newlines."""
    end, parts = b"", []
    while chunk := stream.read(CHUNK):
        end = end or (b"\r" if b"\r" in chunk[:-1] and b"\n" not in chunk else b"\n")
        first, *others = chunk.split(end)
        parts.append(first)
        for line in others:
            yield b"".join(parts)
            parts = [line]
    if any(parts):
        yield b"".join(parts)


def _open(file: Path) -> IO[bytes]:
    """Open a file for reading, decompressed."""
    match file.suffix.lower():
        case ".gz":
            return gzip.open(file)
        case ".bz2":
            return bz2.open(file)
        case ".xz":
            return lzma.open(file)
        case ".zst":
            import pyarrow as pa

            return pa.input_stream(str(file), compression="zstd")
    return file.open("rb")
