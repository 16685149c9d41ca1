"""Atomic writes, full disks and corrupt files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine import io
from rankrefine.errors import DiskFull, UserError

TABLE = pa.table({"x": [1, 2, 3]})


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.txt"
    io.write_text(file, "old")
    with pytest.raises(RuntimeError), io.atomic(file) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old"
    assert [p.name for p in file.parent.iterdir()] == ["a.txt"]


def test_temporary_files_of_a_killed_job_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".a.txt.0123.part").write_text("half")
    (tmp_path / ".a.txt.4567.part").mkdir()
    (tmp_path / ".b.txt.0123.part").write_text("another file's")
    io.write_text(tmp_path / "a.txt", "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".b.txt.0123.part", "a.txt"]


def test_folders_are_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for content in ("one", "two"):
        with io.atomic(folder) as temporary:
            temporary.mkdir()
            (temporary / content).touch()
    assert [p.name for p in folder.iterdir()] == ["two"]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch) -> None:
    model, replace = tmp_path / "model", os.replace
    with io.atomic(model) as temporary:
        temporary.mkdir()
        (temporary / "old").touch()

    def fails_on_the_new_folder(source: Path, target: Path) -> None:
        if (source / "new").exists():
            raise PermissionError
        replace(source, target)

    monkeypatch.setattr(io.os, "replace", fails_on_the_new_folder)
    with pytest.raises(PermissionError), io.atomic(model) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert [p.name for p in model.iterdir()] == ["old"]


def test_private_files_get_the_users_usual_permissions(tmp_path: Path) -> None:
    with io.atomic(tmp_path / "model") as temporary:
        temporary.mkdir(mode=0o700)
        (temporary / "weights").touch(mode=0o600)
    io.write_text(tmp_path / "usual", "")
    usual = (tmp_path / "usual").stat().st_mode
    assert (tmp_path / "model" / "weights").stat().st_mode == usual
    assert usual & 0o400


class LibraryError(Exception):
    """safetensors, for one, does not raise OSError."""


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("... No space left ..."),
        LibraryError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        FileNotFoundError("[Errno 2] No usable temporary directory found in ['/tmp', '/']"),
    ],
)
def test_a_full_disk_is_one_sentence(tmp_path: Path, error: OSError) -> None:
    full = pytest.raises(UserError, match=r"The disk is full: could not write .*a.parquet; free some space")
    with full, io.atomic(tmp_path / "a.parquet") as temporary:
        temporary.write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_torchs_messages_for_a_full_disk_are_known(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(DiskFull, match=r"could not write .*optimizer.pt"), io.writing(tmp_path / "optimizer.pt"):
        torch.save({"weights": torch.zeros(1000)}, "/dev/full")


def test_a_full_disk_is_seen_behind_another_error() -> None:
    """Readers of many formats turn every exception of their library into one message."""
    with pytest.raises(DiskFull, match=r"could not write out\.json"), io.writing("out.json"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise UserError("The data cannot be opened.") from error


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(UserError, match=r"^The data are bad$"), io.writing("out.json"):
        raise UserError("The data are bad")


def test_a_really_full_disk() -> None:
    """Linux has a device that is always full."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(UserError, match="The disk is full"), io.atomic("unused-name") as _:
        Path("/dev/full").write_text("x" * 100_000)


def test_tables_come_back_and_have_stable_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    io.write_table(one, TABLE)
    io.write_table(two, TABLE)
    assert io.read_table(one).equals(TABLE)
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "not parquet", "empty", "missing", "other columns"])
def test_damaged_tables_are_named(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "00003.parquet"
    io.write_table(file, TABLE)
    match damage:
        case "truncated":
            file.write_bytes(file.read_bytes()[:-20])
        case "not parquet":
            file.write_text("hello")
        case "empty":
            file.write_bytes(b"")
        case "missing":
            file.unlink()
    schema = pa.schema([("y", pa.string())]) if damage == "other columns" else None
    with pytest.raises(UserError, match=r"00003.parquet") as error:
        io.read_table(file, schema)
    assert "\n" not in str(error.value)
    if damage in ("truncated", "not parquet", "empty"):
        assert "corrupt or truncated" in str(error.value) and "delete it and run again" in str(error.value)


def test_broken_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match=r"a.json is not valid JSON"):
        io.read_json(tmp_path / "a.json")
