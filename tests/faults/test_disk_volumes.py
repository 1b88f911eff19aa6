"""Real volumes that are full, have no inodes or are read-only, and processes that may open few files."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import CacheError, CacheNotWritable, HubError, NoSpace, TransferError
from tests.faults.downloads import (
    FILES,
    MB,
    NAME,
    SIZE,
    WEIGHTS,
    Child,
    check_visible,
    complete,
    contents,
    ensure,
    try_once,
)
from tests.mounting import mounted, remount
from tests.played_disks import FullDisk
from tests.transfer.origin import REPO, Origin, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Mount = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("synced")
HOPEFUL = 1 << 40
"""More than any of the volumes below takes: a disk that says there is room and leaves it to the system to refuse."""


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


@contextlib.contextmanager
def dead(folder: Path) -> Iterator[None]:
    """Mount a file system of a program that has ended, as sshfs and the mounts of object stores do when they crash."""
    try:
        channel = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        pytest.skip("needs /dev/fuse")
    libc = ctypes.CDLL(None)
    options = f"fd={channel},rootmode=40000,user_id=0,group_id=0".encode()
    refused = libc.mount(b"fuse", os.fsencode(folder), b"fuse", 0, options)
    os.close(channel)
    if refused:
        pytest.skip("mounting needs root")
    try:
        yield
    finally:
        subprocess.run([str(shutil.which("umount")), str(folder)], check=True)


def fill(folder: Path) -> None:
    for chunk in (MB, 4096):
        with contextlib.suppress(OSError), (folder / f"filler.{chunk}").open("wb", buffering=0) as filler:
            while filler.write(bytes(chunk)) == chunk:
                pass
    assert LOCAL.free_bytes(folder) == 0


def test_a_model_that_cannot_fit_is_refused_before_the_first_byte(tmp_path: Path, origin: Origin) -> None:
    origin.files = {WEIGHTS: bytes_of(8 * MB)}
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=4m", "tmpfs"):
        with pytest.raises(NoSpace, match="missing"):
            ensure(ModelCache(tmp_path / "cache"), origin)

        assert origin.ranges(WEIGHTS) == []


@pytest.mark.parametrize("size", ["64k", "1m", "2500k", "3076k", "3080k", "3092k"])
def test_a_volume_that_fills_up_keeps_what_arrived(tmp_path: Path, origin: Origin, size: str) -> None:
    """Somewhere in the transfer, in the noting of it, or in the commit."""
    with mounted(tmp_path, "-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
        error = try_once(ModelCache(tmp_path / "cache", disk=FullDisk(HOPEFUL)), origin)
        assert type(error) is NoSpace
        again = try_once(ModelCache(tmp_path / "cache", disk=FullDisk(HOPEFUL)), origin)
        assert type(again) is NoSpace
        remount(tmp_path, "size=64m")

        assert complete(tmp_path / "cache", origin).bytes_fetched <= SIZE


@pytest.mark.parametrize("inodes", [2, 3, 5, 7, 9, 11, 13, 15])
def test_a_volume_without_inodes_is_no_space(tmp_path: Path, origin: Origin, inodes: int) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", f"size=64m,nr_inodes={inodes}", "tmpfs"):
        error = try_once(ModelCache(tmp_path / "cache"), origin)
        assert type(error) is NoSpace
        remount(tmp_path, "nr_inodes=200")

        complete(tmp_path / "cache", origin)


def test_a_full_volume_can_still_be_read_verified_and_evicted_from(tmp_path: Path, origin: Origin) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=64m", "tmpfs"):
        cache = ModelCache(tmp_path / "cache")
        complete(cache.root, origin)
        fill(tmp_path)

        assert ensure(cache, origin).was_cached
        assert cache.verify(REPO).is_ok
        assert cache.evict(REPO) >= SIZE
        assert not (cache.root / NAME).exists()


def test_a_read_only_mount_serves_what_it_has_and_refuses_the_rest(tmp_path: Path, origin: Origin) -> None:
    root, seen = tmp_path / "cache", tmp_path / "seen"
    complete(root, origin)
    seen.mkdir()
    with mounted(seen, "--bind", str(root)):
        remount(seen, "ro,bind")
        cache = ModelCache(seen)

        assert ensure(cache, origin).was_cached
        assert cache.verify(REPO).is_ok
        for refused in (lambda: cache.evict(REPO), lambda: cache.pin(REPO), lambda: ensure(cache, origin, force=True)):
            with pytest.raises(CacheNotWritable):
                refused()

    assert contents(root / NAME) == FILES
    check_visible(root)


@pytest.mark.parametrize("below", ["", "team/models"])
def test_a_mount_whose_program_has_ended_is_named_and_a_shared_one_passed_over(
    tmp_path: Path, origin: Origin, below: str
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with dead(gone):
        with pytest.raises(CacheError, match="cannot be looked into: Transport endpoint is not connected"):
            ensure(ModelCache(gone / below), origin)

        ensured = ensure(ModelCache(tmp_path / "cache", [gone / below]), origin)
        assert contents(ensured.model.folder) == FILES


def test_a_layer_over_a_read_only_image_is_a_volume_like_any_other(tmp_path: Path, origin: Origin) -> None:
    """Containers: a model of the image is used, brought up to date and deleted in the layer above it."""
    for name in ("image", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    complete(tmp_path / "image" / "cache", origin)
    layers = f"lowerdir={tmp_path}/image,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    with mounted(tmp_path / "merged", "-t", "overlay", "-o", layers, "overlay"):
        cache = ModelCache(tmp_path / "merged" / "cache")

        assert ensure(cache, origin).was_cached
        assert contents(ensure(cache, origin, force=True).model.folder) == FILES
        assert cache.verify(REPO).is_ok
        assert cache.evict(REPO) >= SIZE
        assert complete(cache.root, origin).bytes_fetched == SIZE

    assert contents(tmp_path / "image" / "cache" / NAME) == FILES


def test_a_volume_that_is_unmounted_in_mid_download_is_gone_on_with(tmp_path: Path, origin: Origin) -> None:
    """Lazily, as a USB disk or a network drive goes: what lies below its mount point is a folder like any other."""
    volume = tmp_path / "volume"
    volume.mkdir()

    def unmount(_seen: object, _count: int) -> None:
        if volume.is_mount():
            subprocess.run([str(shutil.which("umount")), "-l", str(volume)], check=True)

    with mounted(volume, "-t", "tmpfs", "-o", "size=64m", "tmpfs"):
        origin.fault = unmount
        try_once(ModelCache(volume / "cache"), origin)
    origin.fault = None

    complete(volume / "cache", origin)


def test_a_volume_of_its_own_for_what_is_on_its_way_costs_a_copy(tmp_path: Path, origin: Origin) -> None:
    """No file can be renamed from there to its place."""
    incoming = tmp_path / "cache" / ".incoming"
    incoming.mkdir(parents=True)
    with mounted(incoming, "-t", "tmpfs", "-o", "size=64m", "tmpfs"):
        complete(tmp_path / "cache", origin)

        assert list(incoming.iterdir()) == []


def test_a_limit_on_the_size_of_files_is_known_before_the_first_byte(tmp_path: Path, origin: Origin) -> None:
    answer = Child(origin, tmp_path / "cache", file_bytes=MB).end()

    assert answer["error"] == "CacheNotWritable"
    assert "ulimit -f" in answer["message"]
    assert origin.ranges(WEIGHTS) == []


def test_a_damaged_model_on_a_read_only_mount_is_an_error_of_ours(tmp_path: Path, origin: Origin) -> None:
    root, seen = tmp_path / "cache", tmp_path / "seen"
    complete(root, origin)
    (root / NAME / WEIGHTS).chmod(0o644)
    (root / NAME / WEIGHTS).write_bytes(b"wrong")
    seen.mkdir()
    with mounted(seen, "--bind", str(root)):
        remount(seen, "ro,bind")

        assert not ModelCache(seen).verify(REPO).is_ok
        with pytest.raises(CacheNotWritable):
            ensure(ModelCache(seen), origin)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counting open files needs /proc")
def test_hundreds_of_small_files_need_no_more_descriptors_than_a_few(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    files = {"config.json": b"{}", **{f"part/{number}.json": b"%d" % number for number in range(600)}}
    with Origin(files) as origin:
        answer = Child(origin, root, open_files=60, connections=8).end()

        assert answer.get("result", answer) == {"bytes": sum(map(len, files.values())), "was_cached": False}
        assert contents(root / NAME) == files


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counting open files needs /proc")
@pytest.mark.parametrize("more", [0, 1, 2, 3, 5, 8, 12, 20])
def test_a_process_that_may_open_few_files_ends_well_or_says_so(tmp_path: Path, origin: Origin, more: int) -> None:
    root = tmp_path / "cache"
    answer = Child(origin, root, open_files=more, connections=8).end()

    if "error" in answer:
        errors = (TransferError, HubError)
        names = {cls.__name__ for error in errors for cls in (error, *error.__subclasses__())}
        assert answer["error"] in names, answer
    else:
        assert contents(root / NAME) == FILES
    check_visible(root)
    complete(root, origin)
