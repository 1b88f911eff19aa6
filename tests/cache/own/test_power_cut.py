"""The power fails after every single operation: then the model is absent or right, and the next run completes it."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.evict import remove_model
from qwen3ft_jupyter.cache.own.manifest import read_manifest
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.transfer import journal
from tests.cache.bringing import PIECE_BYTES, bring, model_folder
from tests.power_cuts import LOSSES, Loss, PowerCut, PowerCutDisk
from tests.transfer.origin import REPO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from qwen3ft_jupyter.cache.own.manifest import Manifest

OLD = {"config.json": b"{}", "model.safetensors": b"old weights", "sub/deep/notes.txt": b"notes", "gone.txt": b"gone"}
NEW = {"config.json": b"{}", "model.safetensors": b"NEW WEIGHTS", "sub/deep/notes.txt": b"NOTES", "copy.json": b"{}"}
NEW_COMMIT = "d" * 40


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".qwen3ft" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def nothing(_root: Path) -> None:
    """A cache that does not exist yet."""


def plain(root: Path) -> None:
    """A folder that another program began."""
    model_folder(root).mkdir(parents=True)
    (model_folder(root) / "config.json").write_bytes(NEW["config.json"])
    (model_folder(root) / "model.safetensors").write_bytes(b"of another model")


def old(root: Path) -> None:
    """The commit before."""
    bring(root, OLD)


def damaged(root: Path) -> None:
    """The same commit, with a file whose bytes were changed and one that was removed."""
    bring(root, NEW, commit=NEW_COMMIT)
    weights = model_folder(root) / "model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(b"NEW wEIGHTS")
    (model_folder(root) / "sub/deep/notes.txt").unlink()


def half(root: Path) -> None:
    """A download that was killed."""
    disk = PowerCutDisk(root, 25)
    with pytest.raises(PowerCut):
        bring(root, NEW, disk=disk, commit=NEW_COMMIT)
    disk.settle("nothing")


def check_visible(root: Path, *allowed: Mapping[str, bytes]) -> None:
    """Whatever the cache shows as a verified model is one of those allowed, byte for byte."""
    for model in ModelCache(root).list():
        if not model.is_verified:
            continue
        manifest = read_manifest(model.folder)
        assert manifest is not None
        assert {path: data for path, data in contents(model.folder).items() if path in paths(manifest)} in allowed


def paths(manifest: Manifest) -> set[str]:
    return {file.path for file in manifest.files}


@pytest.mark.parametrize("before", [nothing, plain, old, damaged, half], ids=lambda before: before.__name__)
@pytest.mark.parametrize("loss", LOSSES)
def test_after_every_cut_the_model_is_absent_or_right_and_the_next_run_completes_it(
    tmp_path: Path, before: Callable[[Path], None], loss: Loss
) -> None:
    root, start = tmp_path / "cache", tmp_path / "start"
    start.mkdir()
    before(start)
    shutil.copytree(start, root, symlinks=True)
    needed = bring(root, NEW, commit=NEW_COMMIT)
    for operations in range(1000):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(start, root, symlinks=True)
        disk, served = PowerCutDisk(root, operations), list[int]()
        with contextlib.suppress(PowerCut):
            bring(root, NEW, disk=disk, commit=NEW_COMMIT, on_bytes=served.append)
        disk.settle(loss)
        journal.held.clear()  # as if this process had died

        check_visible(root, OLD, NEW, contents(model_folder(start)))
        if not disk.is_cut:
            assert [model.repo_id for model in ModelCache(root).list() if model.is_verified] == [REPO]
        fetched = bring(root, NEW, disk=PowerCutDisk(root), commit=NEW_COMMIT)  # whose fsync costs nothing

        assert contents(model_folder(root)).items() >= NEW.items()
        assert not (model_folder(root) / ".qwen3ft/incomplete").exists()
        check_visible(root, NEW)
        if loss == "nothing":  # as after a kill: nothing travels twice but the piece that was being written
            assert fetched + sum(served) <= needed + PIECE_BYTES
        if not disk.is_cut:
            assert fetched == 0
            break
    assert operations > 20


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the lease's dies of the cut, too
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("then", ["evict", "download"])
def test_after_every_cut_of_an_eviction_the_model_is_there_or_gone(tmp_path: Path, loss: Loss, then: str) -> None:
    root, start = tmp_path / "cache", tmp_path / "start"
    bring(start, NEW)
    for operations in range(1000):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(start, root, symlinks=True)
        disk = PowerCutDisk(root, operations)
        with contextlib.suppress(PowerCut):
            remove_model(root, model_folder(root), REPO, disk=disk)
        disk.settle(loss)
        shutil.rmtree(root / ".incoming", ignore_errors=True)  # the lease, as if this process had died

        for model in ModelCache(root).list():
            assert model.is_verified
            assert contents(model.folder) == NEW
        if not disk.is_cut:
            assert ModelCache(root).list() == []
            break
        if then == "evict":
            remove_model(root, model_folder(root), REPO, disk=PowerCutDisk(root))
            assert not model_folder(root).exists()
        else:
            bring(root, NEW, disk=PowerCutDisk(root))
            assert contents(model_folder(root)) == NEW
            check_visible(root, NEW)
    assert operations > 10
