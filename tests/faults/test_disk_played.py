"""Whole downloads on disks that lack something, fail or lie."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import CacheError, CacheNotWritable, NoSpace, NotCached, TransferError
from tests.faults.downloads import (
    FILES,
    MB,
    NAME,
    SIZE,
    WEIGHTS,
    check_visible,
    complete,
    contents,
    ensure,
    plan,
    try_once,
)
from tests.played_disks import (
    BareDisk,
    CopyingDisk,
    FailingDisk,
    ForgetfulDisk,
    FullDisk,
    LyingDisk,
    PartedDisk,
    PlayedDisk,
    ReadOnlyDisk,
    SequentialDisk,
    SilentDisk,
    SmallFilesDisk,
)
from tests.transfer.origin import REPO, Origin, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qwen3ft_jupyter.disk import Disk


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


@pytest.mark.parametrize("kind", [PlayedDisk, BareDisk, CopyingDisk, LyingDisk, ForgetfulDisk, PartedDisk, SilentDisk])
def test_a_model_lives_its_whole_life_on_a_poor_volume(
    tmp_path: Path, origin: Origin, kind: Callable[[], Disk]
) -> None:
    cache = ModelCache(tmp_path / "cache", disk=kind())

    assert ensure(cache, origin).bytes_fetched == SIZE
    assert contents(cache.root / NAME) == FILES
    assert ensure(cache, origin).was_cached
    assert cache.verify(REPO).is_ok
    cache.pin(REPO)
    origin.files = {"config.json": b"{}", "model.safetensors": bytes_of(4 << 20, 2)}
    assert ensure(cache, origin, force=True).model.pinned
    assert contents(cache.root / NAME) == origin.files
    assert cache.evict(REPO) >= sum(map(len, origin.files.values()))
    assert not (cache.root / NAME).exists()


def test_nothing_needs_links_locks_or_memory_maps(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENOTSUP, "there is no such thing here")

    for name in ("os.symlink", "os.link", "fcntl.flock", "fcntl.lockf", "mmap.mmap", "os.posix_fallocate"):
        monkeypatch.setattr(name, refuse)
    cache = ModelCache(tmp_path / "cache")

    ensure(cache, origin)

    assert contents(cache.root / NAME) == FILES
    assert cache.verify(REPO).is_ok


def test_a_volume_without_fsync_is_good_enough(tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSYS, "no fsync")

    monkeypatch.setattr("os.fsync", refuse)

    assert try_once(ModelCache(tmp_path / "cache"), origin) is None


def test_a_mount_that_writes_from_front_to_back_only_is_said_to_be_one(tmp_path: Path, origin: Origin) -> None:
    with pytest.raises(CacheNotWritable, match="kind of volume"):
        ensure(ModelCache(tmp_path / "cache", disk=SequentialDisk()), origin)


TIMES = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)
OPERATIONS = ["open", "create", "write_at", "append", "read_at", "truncate", "fsync", "replace", "make_folder"]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("how", ["once", "from then on"])
def test_an_input_output_error_anywhere_is_an_error_of_ours_and_loses_nothing(
    tmp_path: Path, origin: Origin, operation: str, how: str
) -> None:
    for nth in TIMES:
        root = tmp_path / str(nth)
        disk = FailingDisk(operation, nth, is_once=how == "once")

        error = try_once(ModelCache(root, disk=disk), origin)

        complete(root, origin)
        if disk.count < nth:  # it was not asked that often
            assert error is None
            return
        assert error is None or type(error) in {TransferError, CacheError}
    pytest.fail(f"{operation} was asked for more than {TIMES[-1]} times")


CODES = (
    *("EACCES", "EROFS", "ESTALE", "ENOTCONN", "ENAMETOOLONG", "EXDEV", "EBUSY", "EFBIG", "ELOOP", "ENOTDIR", "ENOENT"),
    *("EDQUOT", "ENOMEM", "EAGAIN"),
)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", [name for name in CODES if hasattr(errno, name)])
def test_whatever_the_system_answers_is_an_error_of_ours_and_loses_nothing(
    tmp_path: Path, origin: Origin, name: str, operation: str
) -> None:
    root = tmp_path / "cache"

    error = try_once(ModelCache(root, disk=FailingDisk(operation, 2, getattr(errno, name))), origin)

    assert error is None or error.hint
    complete(root, origin)


@pytest.mark.parametrize("code", ["ESTALE", "ENOTCONN", "EHOSTDOWN", "ETIMEDOUT"])
def test_a_drive_that_goes_is_said_to_have_gone(tmp_path: Path, origin: Origin, code: str) -> None:
    disk = FailingDisk("write_at", 3, getattr(errno, code))

    with pytest.raises(TransferError, match="the drive has gone"):
        ensure(ModelCache(tmp_path / "cache", disk=disk), origin)


def test_a_file_that_the_volume_cannot_hold_is_refused_before_the_first_byte(tmp_path: Path, origin: Origin) -> None:
    """FAT32 holds none of 4 GB. Nothing is evicted for it, either, and a dry run says the same."""
    cache = ModelCache(tmp_path / "cache", disk=SmallFilesDisk(MB))

    for ask in (ensure, plan):
        with pytest.raises(CacheNotWritable, match=rf"{WEIGHTS}: this volume.*allows no file that large") as caught:
            ask(cache, origin)

        assert "FAT32" in caught.value.hint
        assert origin.ranges(WEIGHTS) == []
    assert try_once(ModelCache(tmp_path / "cache", disk=SmallFilesDisk(4 * MB)), origin) is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_anywhere_is_no_space_and_what_arrived_is_kept(
    tmp_path: Path, origin: Origin, code: int
) -> None:
    for room in (0, 300, 2000, 1 << 20, SIZE - 1, SIZE + 2000):
        root = tmp_path / str(room)

        error = try_once(ModelCache(root, disk=FullDisk(room, code)), origin)

        assert type(error) is NoSpace
        complete(root, origin)


def test_a_cache_that_turned_read_only_can_still_be_used(tmp_path: Path, origin: Origin) -> None:
    root = tmp_path / "cache"
    complete(root, origin)
    cache = ModelCache(root, disk=ReadOnlyDisk())

    assert ensure(cache, origin).was_cached
    assert cache.verify(REPO).is_ok
    with pytest.raises(CacheNotWritable):
        cache.evict(REPO)

    check_visible(root)
    assert contents(root / NAME) == FILES


def test_an_empty_cache_that_is_read_only_is_said_to_be_one(tmp_path: Path, origin: Origin) -> None:
    (tmp_path / "cache").mkdir()
    cache = ModelCache(tmp_path / "cache", disk=ReadOnlyDisk())

    with pytest.raises(CacheNotWritable, match="cannot be written"):
        ensure(cache, origin)
    with pytest.raises(NotCached):
        cache.verify(REPO)
