from __future__ import annotations

import errno
import os
import tempfile
import threading
from pathlib import Path

import pytest

from qwen3ft_jupyter.cache.clone import COPY_BYTES, clone
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.work import Work

DATA = os.urandom(COPY_BYTES + 12345)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


def refuse(*_: object, **__: object) -> int:
    raise OSError(errno.EXDEV, "two volumes")


def test_a_clone_has_the_same_bytes_and_tells_of_each(source: Path) -> None:
    counts: list[int] = []

    method = clone(source, source.with_name("target"), on_bytes=counts.append)

    assert method in {"reflink", "copy"}
    assert source.with_name("target").read_bytes() == DATA
    assert sum(counts) == len(DATA)
    assert source.with_name("target").stat().st_ino != source.stat().st_ino


def test_an_empty_file_is_cloned(tmp_path: Path) -> None:
    (tmp_path / "source").touch()

    clone(tmp_path / "source", tmp_path / "target")

    assert (tmp_path / "target").read_bytes() == b""


def test_blocks_are_shared_where_the_volume_can(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def share(target: int, request: int, descriptor: int) -> int:
        assert request == 0x40049409
        os.pwrite(target, os.pread(descriptor, len(DATA), 0), 0)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", share)
    source.chmod(0o444)

    method = clone(source, source.with_name("target"), may_link=True)

    assert method == "reflink"
    assert source.with_name("target").read_bytes() == DATA
    assert source.stat().st_nlink == 1


@pytest.mark.parametrize("call", ["copy_file_range"])
def test_a_kernel_that_cannot_copy_is_done_without(source: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setattr(os, call, refuse, raising=False)

    assert clone(source, source.with_name("target")) == "copy"
    assert source.with_name("target").read_bytes() == DATA


def test_a_kernel_that_copies_nothing_is_done_without(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0, raising=False)

    clone(source, source.with_name("target"))

    assert source.with_name("target").read_bytes() == DATA


def test_another_volume_gets_a_copy(source: Path) -> None:
    folder = Path("/dev/shm")  # noqa: S108 - on Linux another volume than the temporary folder
    if not folder.is_dir() or folder.stat().st_dev == source.stat().st_dev:
        pytest.skip("there is no second volume")
    with tempfile.TemporaryDirectory(dir=folder) as other:
        source.chmod(0o444)

        assert clone(source, Path(other, "target"), may_link=True) == "copy"
        assert Path(other, "target").read_bytes() == DATA


def test_a_read_only_file_of_ours_gets_a_second_name(source: Path) -> None:
    source.chmod(0o444)

    method = clone(source, source.with_name("target"), may_link=True)

    assert method in {"reflink", "link"}
    assert (source.stat().st_nlink == 2) == (method == "link")


def test_a_file_that_may_be_written_to_gets_no_second_name(source: Path) -> None:
    assert clone(source, source.with_name("target"), may_link=True) != "link"
    assert source.stat().st_nlink == 1


def test_without_hard_links_it_is_copied(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse)
    source.chmod(0o444)

    assert clone(source, source.with_name("target"), may_link=True) in {"reflink", "copy"}
    assert source.with_name("target").read_bytes() == DATA


def test_what_is_there_is_not_replaced(source: Path) -> None:
    source.with_name("target").write_text("mine")

    for may_link in (False, True):
        source.chmod(0o444)
        with pytest.raises(FileExistsError):
            clone(source, source.with_name("target"), may_link=may_link)

    assert source.with_name("target").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs, and symlinks need a privilege")
def test_only_a_regular_file_is_cloned(source: Path) -> None:
    source.with_name("link").symlink_to(source)
    os.mkfifo(source.with_name("pipe"))

    for path in (source.with_name("link"), source.with_name("pipe"), source.with_name("nothing"), source.parent):
        with pytest.raises(OSError):  # noqa: PT011 - which one differs by platform
            clone(path, source.with_name("target"))

    assert not source.with_name("target").exists()


def test_a_stopped_clone_leaves_nothing(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    seen: list[int] = []

    def on_bytes(count: int) -> None:
        seen.append(count)
        stop.set()
        Work(stop=stop).check()

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    with pytest.raises(Stopped):
        clone(source, source.with_name("target"), on_bytes=on_bytes)

    assert len(seen) == 1
    assert not source.with_name("target").exists()


def test_a_full_volume_leaves_nothing(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "copy_file_range", full, raising=False)
    with pytest.raises(OSError, match="No space"):
        clone(source, source.with_name("target"))

    assert not source.with_name("target").exists()


def test_a_source_cut_meanwhile_is_no_clone(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)

    with pytest.raises(OSError, match="cut"):
        clone(source, source.with_name("target"), on_bytes=lambda _: os.truncate(source, 10))

    assert not source.with_name("target").exists()
