from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import CacheDamaged, CacheNotWritable, NoSpace, TransferError, WrongBytes
from qwen3ft_jupyter.hubs.listing import RemoteFile
from qwen3ft_jupyter.hubs.names import SafePath, Sha256
from qwen3ft_jupyter.processes import ProcessIdentity
from qwen3ft_jupyter.transfer.journal import QUIET_OWNER_S, clear_orphans, header_line, owner_line
from qwen3ft_jupyter.transfer.partial import FetchedFile, Partial, claim, clear_partials
from qwen3ft_jupyter.transfer.volume import LocalDisk
from tests.played_disks import FailingDisk, PlayedDisk

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk

KEY = "ab" * 32
ELSEWHERE = ProcessIdentity("another-machine", "boot", "space", 7, 1.0)


def take(folder: Path, key: str = KEY, size: int = 100) -> Partial:
    return claim(folder, key, size, disk=LocalDisk(), name="model.safetensors")


def put(partial: Partial, data: bytes, offset: int) -> None:
    partial.open()
    partial.write(memoryview(data), offset)
    partial.record(offset, offset + len(data), zlib.crc32(data))


def spans(partial: Partial) -> list[tuple[int, int]]:
    return [(record.start, record.end) for record in partial.records]


def test_the_data_file_has_its_full_length_from_the_start(tmp_path: Path) -> None:
    partial = take(tmp_path)
    put(partial, b"end", 97)
    partial.close(release=True)

    assert partial.path.read_bytes() == bytes(97) + b"end"


def test_what_was_released_is_taken_over_with_its_ranges(tmp_path: Path) -> None:
    first = take(tmp_path)
    put(first, b"hello", 10)
    first.close(release=True)

    second = take(tmp_path)

    assert spans(second) == [(10, 15)]
    assert second.journal_path != first.journal_path
    assert not first.journal_path.exists()
    second.open()
    assert second.read(5, 10) == b"hello"
    second.close(release=False)


def test_two_living_writers_never_share_a_file(tmp_path: Path) -> None:
    first = take(tmp_path)
    put(first, b"hello", 0)

    second = take(tmp_path)

    assert second.path != first.path
    assert spans(second) == []
    first.close(release=False)


def test_a_partial_of_a_process_that_died_is_taken_over(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from qwen3ft_jupyter.transfer.partial import claim
from qwen3ft_jupyter.transfer.volume import LocalDisk
partial = claim(Path(sys.argv[1]), {KEY!r}, 100, disk=LocalDisk(), name="m")
partial.open()
partial.write(memoryview(b"hello"), 0)
partial.record(0, 5, 907060870)
os.kill(os.getpid(), 9)
"""
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert child.returncode == -9

    assert spans(take(tmp_path)) == [(0, 5)]


def test_the_owner_on_another_machine_counts_as_alive_until_it_is_silent(tmp_path: Path) -> None:
    journal = tmp_path / f"{KEY}.0.journal"
    journal.write_bytes(header_line(KEY, 100, f"{KEY}.0.part") + owner_line(ELSEWHERE) + b"[0,5,1]\n")
    (tmp_path / f"{KEY}.0.part").write_bytes(bytes(100))

    assert spans(take(tmp_path)) == []
    long_ago = time.time() - QUIET_OWNER_S - 1
    os.utime(journal, (long_ago, long_ago))
    assert spans(take(tmp_path)) == [(0, 5)]


def test_of_several_leftovers_the_fullest_is_continued_and_the_others_deleted(tmp_path: Path) -> None:
    left = [take(tmp_path) for _ in range(3)]
    for number, partial in enumerate(left):
        put(partial, b"x" * (10, 30, 20)[number], 0)
    for partial in left:
        partial.close(release=True)

    assert spans(take(tmp_path)) == [(0, 30)]
    assert len(list(tmp_path.glob("*.part"))) == 1
    assert len(list(tmp_path.glob("*.journal"))) == 1


@pytest.mark.parametrize("content", [b"", b"garbage", header_line(KEY, 99, f"{KEY}.0.part")])
def test_a_journal_of_another_object_is_discarded(tmp_path: Path, content: bytes) -> None:
    old = tmp_path / f"{KEY}.0.journal"
    old.write_bytes(content)

    partial = take(tmp_path)

    assert spans(partial) == []
    assert not old.exists()


@pytest.mark.parametrize("damage", ["cut", "removed", "symlink", "link"])
def test_ranges_without_their_data_file_are_forgotten(tmp_path: Path, damage: str) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(bytes(100))
    folder = tmp_path / "incoming"
    folder.mkdir()
    first = take(folder)
    put(first, b"hello", 0)
    first.close(release=True)
    if damage == "cut":
        first.path.write_bytes(b"hel")
    else:
        first.path.unlink()
    if damage == "symlink":
        first.path.symlink_to(outside)
    if damage == "link":
        first.path.hardlink_to(outside)

    second = take(folder)
    put(second, b"again", 0)
    second.close(release=False)

    assert spans(second) == [(0, 5)]
    assert outside.read_bytes() == bytes(100)


def test_a_range_changed_on_this_disk_is_found_by_its_crc(tmp_path: Path) -> None:
    partial = take(tmp_path)
    put(partial, b"hello", 0)
    put(partial, b"world", 50)
    partial.write(memoryview(b"W"), 50)

    assert [(record.start, record.end) for record in partial.wrong_records()] == [(50, 55)]
    partial.close(release=False)


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (errno.ENOSPC, NoSpace, "full or the quota"),
        (errno.EDQUOT, NoSpace, "full or the quota"),
        (errno.EROFS, CacheNotWritable, "cannot be written"),
        (errno.EACCES, CacheNotWritable, "cannot be written"),
        (errno.ENOTSUP, CacheNotWritable, "kind of volume"),
        (errno.EMFILE, TransferError, "too many files are open"),
        (errno.ELOOP, CacheDamaged, "in the way"),
        (errno.EIO, TransferError, "the disk failed"),
    ],
)
def test_what_the_disk_refuses_has_a_name(tmp_path: Path, code: int, error: type[Exception], words: str) -> None:
    partial = claim(tmp_path, KEY, 100, disk=FailingDisk("write_at", code=code), name="model.safetensors")
    partial.open()

    with pytest.raises(error, match=rf"model\.safetensors: .*{words}"):
        partial.write(memoryview(b"x"), 0)

    partial.close(release=True)


def test_what_could_not_be_synced_has_to_come_again(tmp_path: Path) -> None:
    """The system takes what it could not write for written: read again it would look right."""
    partial = claim(tmp_path, KEY, 100, disk=FailingDisk("fsync", is_once=True), name="model.safetensors")
    put(partial, b"hello", 0)

    with pytest.raises(TransferError):
        partial.sync()
    with pytest.raises(TransferError):
        partial.sync()
    partial.close(release=True)

    assert partial.records == ()
    assert spans(take(tmp_path)) == []


def test_what_was_given_up_here_is_gone_on_with_even_if_no_line_could_say_so(tmp_path: Path) -> None:
    """The disk was full: this process lives on, and is the owner by the journal."""
    disk = FailingDisk("append", nth=3, code=errno.ENOSPC)
    first = claim(tmp_path, KEY, 100, disk=disk, name="model.safetensors")
    put(first, b"hello", 0)
    first.close(release=True)

    assert spans(take(tmp_path)) == [(0, 5)]


def test_of_several_that_take_a_partial_over_at_once_one_has_it(tmp_path: Path) -> None:
    left = take(tmp_path)
    put(left, b"hello", 0)
    left.close(release=True)

    claims = claimed_at_once(tmp_path, MeetingDisk())

    assert sorted(spans(partial) for partial in claims) == [[], [(0, 5)]]
    assert claims[0].path != claims[1].path


def test_where_renaming_copies_each_of_several_has_a_copy_of_its_own(tmp_path: Path) -> None:
    left = take(tmp_path)
    put(left, b"hello", 0)
    left.close(release=True)

    claims = claimed_at_once(tmp_path, MeetingCopyingDisk())

    assert [spans(partial) for partial in claims] == [[(0, 5)], [(0, 5)]]
    put(claims[0], b"first", 10)
    put(claims[1], b"other", 10)
    assert [partial.read(15, 0)[10:] for partial in claims] == [b"first", b"other"]
    for partial in claims:
        partial.close(release=False)


class MeetingDisk(PlayedDisk):
    """Lets two threads rename data files at the same moment."""

    def __init__(self) -> None:
        self.meeting = threading.Barrier(2, timeout=120)

    def replace(self, source: Path, target: Path) -> None:
        if source.suffix == ".part":
            self.meeting.wait()
        super().replace(source, target)


class MeetingCopyingDisk(MeetingDisk):
    """The same where both have copied before either deletes."""

    def replace(self, source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes())
        self.meeting.wait()
        source.unlink(missing_ok=True)


def claimed_at_once(folder: Path, disk: Disk) -> list[Partial]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda _: claim(folder, KEY, 100, disk=disk, name="m"), range(2)))


def test_a_planted_pipe_is_no_journal(tmp_path: Path) -> None:
    """Opening it would wait for a writer for ever."""
    os.mkfifo(tmp_path / f"{KEY}.0.journal")

    assert spans(take(tmp_path)) == []


def test_litter_of_kills_is_deleted_when_it_is_old(tmp_path: Path) -> None:
    for name in (".lease.json.1.tmp", "1.now", "1.stale"):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / ".lease.json.2.tmp").write_bytes(b"")

    clear_orphans(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [".lease.json.2.tmp"]


def test_writing_after_the_end_reaches_no_file(tmp_path: Path) -> None:
    partial = take(tmp_path)
    partial.open()
    partial.close(release=True)

    with pytest.raises(TransferError):
        partial.write(memoryview(b"late"), 0)


def test_orphans_are_deleted_when_they_are_old(tmp_path: Path) -> None:
    old, young = tmp_path / "a.0.part", tmp_path / "b.0.part"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (1, 1))

    clear_orphans(tmp_path)

    assert not old.exists()
    assert young.exists()


def test_clearing_leaves_the_partials_of_living_processes(tmp_path: Path) -> None:
    mine = take(tmp_path)
    put(mine, b"mine", 0)
    left = take(tmp_path, "cd" * 32)
    put(left, b"left", 0)
    left.close(release=True)

    assert clear_partials(tmp_path) == 4
    assert mine.path.exists()
    assert not left.path.exists()
    mine.close(release=False)


def fetched(tmp_path: Path, data: bytes) -> FetchedFile:
    partial = take(tmp_path, size=len(data))
    put(partial, data, 0)
    partial.close(release=False)
    file = RemoteFile(SafePath("model.safetensors"), len(data), Sha256(KEY))
    return FetchedFile(file, Sha256(KEY), partial, len(data))


def test_a_verified_file_is_renamed_into_place_and_made_read_only(tmp_path: Path) -> None:
    file = fetched(tmp_path, b"data")
    target = tmp_path / "target"
    target.write_bytes(b"old")
    target.chmod(0o444)

    file.move_to(target)

    assert target.read_bytes() == b"data"
    assert not target.stat().st_mode & 0o222
    file.forget()
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_cut_after_it_was_verified_is_refused(tmp_path: Path) -> None:
    file = fetched(tmp_path, b"data")
    file.path.write_bytes(b"dat")

    with pytest.raises(WrongBytes):
        file.move_to(tmp_path / "target")

    assert not (tmp_path / "target").exists()
