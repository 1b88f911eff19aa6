from __future__ import annotations

import errno
import itertools
import zlib
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own import piece_sums
from qwen3ft_jupyter.cache.own.manifest import read_manifest
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import CacheNotWritable, NoSpace, Qwen3ftError, TransferError, WrongBytes
from tests.cache.bringing import bring, model_folder
from tests.played_disks import (
    BareDisk,
    CopyingDisk,
    FailingDisk,
    FullDisk,
    PlayedDisk,
    ReadOnlyDisk,
    RecordingDisk,
    SequentialDisk,
)
from tests.transfer.origin import COMMIT, REPO, Recorder, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = {
    "config.json": b"{}",
    "model.safetensors": bytes_of(40),
    "sub/deep/notes.txt": b"notes",
    "twin.json": b"{}",
}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".qwen3ft" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_data_then_names_then_folders_then_the_manifest_last(tmp_path: Path) -> None:
    disk = RecordingDisk()

    bring(tmp_path, FILES, disk=disk)

    folder = model_folder(tmp_path)
    record, weights = folder / ".qwen3ft", folder / "model.safetensors"
    when = {step: number for number, step in enumerate(disk.done)}
    synced = max(n for n, (what, path) in enumerate(disk.done) if what == "fsync" and path.suffix == ".part")
    moved = [when["replace", folder / path] for path in FILES]
    named = [when["fsync_folder", below] for below in (folder, folder / "sub", folder / "sub/deep")]
    written = when["replace", record / "manifest.json"]
    assert when["replace", record / "incomplete"] < min(moved)
    assert synced < min(moved)
    assert max(n for n, (what, path) in enumerate(disk.done) if what == "write" and path.suffix == ".part") < synced
    assert max(moved) < min(named)
    assert when["chmod", weights] < written
    assert max(named) < written < when["unlink", record / "incomplete"] < when["fsync_folder", record]
    assert ("fsync_folder", tmp_path) in when


@pytest.mark.parametrize("kind", [PlayedDisk, BareDisk, CopyingDisk])
def test_a_model_comes_changes_and_stays_right_on_any_volume(tmp_path: Path, kind: type[PlayedDisk]) -> None:
    newer = {**FILES, "model.safetensors": bytes_of(50, 2), "new.txt": b"new"}
    del newer["twin.json"]

    bring(tmp_path, FILES, disk=kind())
    assert contents(model_folder(tmp_path)) == FILES
    assert bring(tmp_path, newer, disk=kind(), commit="d" * 40) == 50 + 3

    assert contents(model_folder(tmp_path)) == newer
    (model,) = ModelCache(tmp_path).list()
    assert model.is_verified
    assert ModelCache(tmp_path).verify(REPO).is_ok


def test_a_folder_in_the_place_of_a_file_is_kept_where_folders_cannot_be_renamed(tmp_path: Path) -> None:
    inside = model_folder(tmp_path) / "config.json/below/mine.txt"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(b"precious")

    bring(tmp_path, FILES, disk=BareDisk())

    assert contents(model_folder(tmp_path)) == FILES
    kept = model_folder(tmp_path) / ".qwen3ft/replaced/config.json/below/mine.txt"
    assert kept.read_bytes() == b"precious"


def edit(path: Path, data: bytes = b'{"mine": true}') -> None:
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["the same commit", "a verify before", "a newer commit", "gone from the hub"])
def test_a_text_that_somebody_edited_is_kept_and_named(tmp_path: Path, how: str) -> None:
    bring(tmp_path, FILES)
    folder, told = model_folder(tmp_path), Recorder()
    edit(folder / "config.json")
    if how == "a verify before":
        assert ModelCache(tmp_path).verify(REPO).wrong == ("config.json",)
    changed = {"a newer commit": {"config.json": b"{ }"}}.get(how, {})
    newer = {**FILES, **changed}
    if how == "gone from the hub":
        del newer["config.json"]

    bring(tmp_path, newer, commit="d" * 40 if how != "the same commit" else COMMIT, reporter=told)

    assert contents(folder) == newer
    assert (folder / ".qwen3ft/replaced/config.json").read_bytes() == b'{"mine": true}'
    assert told.notices == ["config.json was edited here; the edited file was moved to .qwen3ft/replaced."]


@pytest.mark.parametrize("data", [b"", b"{}", b"\0" * 9, b"\xff\xfe{}", b"{ }"])
def test_what_nobody_edited_is_not_kept(tmp_path: Path, data: bytes) -> None:
    """Emptied, written anew with its bytes, zeros as after a power cut, no text, and the very bytes that come."""
    bring(tmp_path, FILES)
    folder, told = model_folder(tmp_path), Recorder()
    edit(folder / "config.json", data)
    edit(folder / "model.safetensors", b"damaged weights")

    bring(tmp_path, {**FILES, "config.json": b"{ }"}, commit="d" * 40, reporter=told)

    assert not (folder / ".qwen3ft/replaced").exists()
    assert told.notices == []


def test_the_manifest_says_where_damage_would_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece_sums, "MIN_PIECE_BYTES", 10)

    bring(tmp_path, {"model.safetensors": FILES["model.safetensors"], "twin": FILES["model.safetensors"], "a": b"a"})

    manifest = read_manifest(model_folder(tmp_path))
    assert manifest is not None
    small, weights, twin = manifest.files
    assert weights.pieces is not None
    assert [end - start for start, end, _ in weights.pieces] == [12, 12, 12, 4]
    assert all(crc == zlib.crc32(FILES["model.safetensors"][start:end]) for start, end, crc in weights.pieces)
    assert twin.pieces == weights.pieces
    assert small.pieces is None


def test_what_the_manifest_says_of_a_kept_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece_sums, "MIN_PIECE_BYTES", 10)
    bring(tmp_path, FILES)
    before = read_manifest(model_folder(tmp_path))
    (model_folder(tmp_path) / "config.json").unlink()

    bring(tmp_path, FILES)

    after = read_manifest(model_folder(tmp_path))
    assert before is not None
    assert after is not None
    assert after.files[1] == before.files[1]
    assert after.files[1].pieces


FAULTS: dict[str, tuple[Callable[[int], PlayedDisk], type[Qwen3ftError], int]] = {
    "full": (lambda nth: FullDisk(7 * nth), NoSpace, 100),
    "over quota": (lambda nth: FullDisk(7 * nth, errno.EDQUOT), NoSpace, 100),
    "no inodes": (lambda nth: FailingDisk("create", nth, errno.ENOSPC), NoSpace, 9),
    "no inodes for folders": (lambda nth: FailingDisk("make_folder", nth, errno.ENOSPC), NoSpace, 4),
    "too many open files": (lambda nth: FailingDisk("open", nth, errno.EMFILE), TransferError, 12),
    "unwritable sector": (lambda nth: FailingDisk("write_at", nth), TransferError, 17),
    "unreadable sector": (lambda nth: FailingDisk("read_at", nth), TransferError, 2),
    "rename fails": (lambda nth: FailingDisk("replace", nth), TransferError, 5),
    "fsync fails": (lambda nth: FailingDisk("fsync", nth), TransferError, 4),
    "journal cannot be written": (lambda nth: FailingDisk("append", nth), TransferError, 15),
}
"""The disk that refuses the nth time and from then on, the error, and at least how many times that can be."""


@pytest.mark.parametrize("fault", FAULTS)
def test_wherever_the_disk_refuses_the_error_is_ours_and_the_next_run_completes(tmp_path: Path, fault: str) -> None:
    make_disk, error, at_least = FAULTS[fault]
    for nth in itertools.count(1):
        root = tmp_path / str(nth)
        root.mkdir()
        refused: Qwen3ftError | None = None
        try:
            bring(root, FILES, disk=make_disk(nth))
        except Qwen3ftError as caught:
            refused = caught
        was_there = [model.is_verified for model in ModelCache(root).list() if model.is_verified]
        bring(root, FILES)

        assert contents(model_folder(root)) == FILES
        if refused is None:  # it was not asked that often
            assert was_there == [True]
            assert nth > at_least
            break
        assert type(refused) is error
        assert not was_there


def test_a_read_only_cache_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(CacheNotWritable, match="Read-only"):
        bring(tmp_path, FILES, disk=ReadOnlyDisk())


def test_a_mount_that_takes_files_from_front_to_back_only_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(CacheNotWritable, match="kind of volume"):
        bring(tmp_path, FILES, disk=SequentialDisk())


def test_a_file_cut_between_verification_and_commit_is_refused(tmp_path: Path) -> None:
    class CuttingDisk(PlayedDisk):
        def close(self, descriptor: int) -> None:
            super().close(descriptor)
            for path in tmp_path.rglob("*.part"):
                if path.stat().st_size == 40:
                    path.write_bytes(b"cut")

    with pytest.raises(WrongBytes, match=r"model\.safetensors"):
        bring(tmp_path, FILES, disk=CuttingDisk())

    assert not any(model.is_verified for model in ModelCache(tmp_path).list())


def test_a_file_that_is_spelled_otherwise_now_is_not_deleted_under_its_old_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where case does not tell names apart, the new name is there already, and the old one is the same file."""
    bring(tmp_path, {"model.safetensors": b"{}", "README.md": b"words"})
    folder = model_folder(tmp_path)
    (folder / "Readme.md").hardlink_to(folder / "README.md")  # as near as this file system comes to it

    bring(tmp_path, {"model.safetensors": b"{}", "Readme.md": b"words"}, commit="d" * 40)

    assert (folder / "README.md").exists()
    assert ModelCache(tmp_path).verify(REPO).is_ok
