from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.disk import (
    LOCAL,
    age_s,
    append,
    make_folders,
    make_own_folder,
    read_regular,
    write_atomic,
    write_json,
)
from tests.played_disks import FailingDisk, ForgetfulDisk, RecordingDisk

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("synced")
NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL


def test_a_small_file_is_synced_then_renamed_then_its_folder_is_synced(tmp_path: Path) -> None:
    disk = RecordingDisk()

    write_atomic(tmp_path / "a.json", b"data", disk=disk)

    assert [operation for operation, _ in disk.done] == ["write", "fsync", "replace", "fsync_folder"]
    assert (tmp_path / "a.json").read_bytes() == b"data"


@pytest.mark.parametrize("operation", ["open", "write_at", "fsync", "replace"])
def test_a_small_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, operation: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    with pytest.raises(OSError, match="Input/output"):
        write_atomic(path, b"new", disk=FailingDisk(operation))

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_utf_8_with_a_last_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "千问"})

    assert (tmp_path / "a.json").read_bytes() == '{\n "name": "千问"\n}\n'.encode()


def test_a_volume_without_fsync_is_written_to_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSYS, "no fsync")

    monkeypatch.setattr("os.fsync", refuse)

    write_atomic(tmp_path / "a.json", b"data")

    assert (tmp_path / "a.json").read_bytes() == b"data"


def test_a_failed_fsync_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr("os.fsync", fail)

    with pytest.raises(OSError, match="no"):
        write_atomic(tmp_path / "a.json", b"data")

    assert list(tmp_path.iterdir()) == []


def test_bytes_are_written_at_their_offset_whatever_the_order(tmp_path: Path) -> None:
    descriptor = LOCAL.open(tmp_path / "a", NEW_FILE)
    try:
        LOCAL.write_at(descriptor, memoryview(b"world"), 5)
        LOCAL.write_at(descriptor, memoryview(b"hello"), 0)

        assert LOCAL.read_at(descriptor, 100, 3) == b"loworld"
    finally:
        LOCAL.close(descriptor)


def test_a_disk_that_takes_little_at_a_time_gets_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite, write = os.pwrite, os.write
    monkeypatch.setattr("os.pwrite", lambda descriptor, data, offset: pwrite(descriptor, data[:2], offset))
    monkeypatch.setattr("os.write", lambda descriptor, data: write(descriptor, data[:2]))
    path = tmp_path / "a"

    write_atomic(path, b"hello")
    append(path, b" world")

    assert path.read_bytes() == b"hello world"


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="the platform cannot refuse symlinks at open")
def test_nothing_is_written_through_a_planted_symlink(tmp_path: Path) -> None:
    outside, link = tmp_path / "outside", tmp_path / "link"
    outside.write_bytes(b"precious")
    link.symlink_to(outside)

    with pytest.raises(OSError, match="symbolic"):
        append(link, b"x")
    write_atomic(link, b"ours")

    assert outside.read_bytes() == b"precious"
    assert not link.is_symlink()


@pytest.mark.parametrize("planted", ["symlink", "pipe", "folder", "long"])
def test_only_a_regular_file_of_sound_length_is_read(tmp_path: Path, planted: str) -> None:
    path = tmp_path / "a"
    if planted == "symlink":
        (tmp_path / "b").write_bytes(b"x")
        path.symlink_to(tmp_path / "b")
    elif planted == "pipe":
        os.mkfifo(path)  # opening it would wait for a writer for ever
    elif planted == "folder":
        path.mkdir()
    else:
        path.write_bytes(bytes(11))

    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the platform
        read_regular(path, 10)


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")

    assert read_regular(tmp_path / "a", 10) == b"0123456789"


def test_folders_are_made_and_their_names_synced(tmp_path: Path) -> None:
    disk = RecordingDisk()

    make_folders(tmp_path / "a/b", disk=disk)
    make_folders(tmp_path / "a/b", disk=disk)

    assert disk.done == [
        ("make_folder", tmp_path / "a"),
        ("fsync_folder", tmp_path),
        ("make_folder", tmp_path / "a/b"),
        ("fsync_folder", tmp_path / "a"),
    ]


@pytest.mark.parametrize("path", ["file", "file/below", "dangling", "dangling/below"])
def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")

    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the platform
        make_folders(tmp_path / path)


def test_a_symlink_in_the_place_of_our_own_folder_goes(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "own").symlink_to(tmp_path / "outside", target_is_directory=True)

    make_own_folder(tmp_path / "own")

    assert not (tmp_path / "own").is_symlink()
    assert (tmp_path / "outside").is_dir()


def test_the_age_of_a_file_is_told_by_the_clock_of_its_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"")
    now = path.stat().st_mtime
    os.utime(path, (now - 100, now - 100))
    monkeypatch.setattr("time.time", lambda: 0.0)

    assert 100 <= age_s(path) < 200
    assert list(tmp_path.iterdir()) == [path]


def test_a_rename_whose_answer_got_lost_was_done(tmp_path: Path) -> None:
    disk = ForgetfulDisk()
    for number in range(4):
        write_atomic(tmp_path / "a", b"%d" % number, disk=disk)

    assert (tmp_path / "a").read_bytes() == b"3"
    with pytest.raises(FileNotFoundError):
        disk.replace(tmp_path / "nothing", tmp_path / "a")


def test_a_read_only_file_is_replaced_and_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomic(path, b"old")
    LOCAL.chmod(path, stat.S_IREAD)

    write_atomic(path, b"new")
    LOCAL.chmod(path, stat.S_IREAD)
    LOCAL.unlink(path)

    assert list(tmp_path.iterdir()) == []
