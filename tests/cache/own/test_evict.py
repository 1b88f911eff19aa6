"""Deleting a model: asked for twice, never half, and also where a disk is full or a process is killed."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.cache.own.evict import remove_model
from qwen3ft_jupyter.cache.own.layout import incoming_folder
from qwen3ft_jupyter.cache.own.lease import hold_lease
from qwen3ft_jupyter.cache.own.manifest import (
    INCOMPLETE_NAME,
    file_state,
    is_half_evicted,
    manifest_path,
    mark_evicting,
    read_manifest,
    write_manifest,
)
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import CacheNotWritable, ModelInUse, NotCached, Stopped
from qwen3ft_jupyter.hubs.names import RepoId
from qwen3ft_jupyter.work import Work
from tests.cache.making import FILES, make_cached, make_plain, share_file
from tests.played_disks import BareDisk, LyingDisk, PlayedDisk, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = RepoId("Qwen/Qwen3-0.6B")
SLUG = "Qwen_Qwen3-0.6B"
ROOT = Path(__file__).parents[3]


class FullDisk(PlayedDisk):
    """Takes no new file and not one more byte; renames and deletes."""

    def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
        if flags & os.O_CREAT:
            raise refusal(errno.ENOSPC, path)
        return super().open(path, flags, mode)

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:  # noqa: ARG002
        raise refusal(errno.ENOSPC)


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


def is_trusted(folder: Path) -> bool:
    manifest = read_manifest(folder)
    return manifest is not None and all(file_state(folder, file) == "same" for file in manifest.files)


def test_a_model_is_invisible_before_its_use_is_asked_for_the_last_time(cache: ModelCache) -> None:
    make_cached(cache.root, SMALL)
    found: list[object] = []

    def look(repo_id: RepoId) -> bool:
        found.append(ModelCache(cache.root).find(repo_id))
        return False

    cache.evict(SMALL, is_used=look)

    assert found == [None]


def test_a_model_that_came_into_use_is_there_as_before(cache: ModelCache) -> None:
    folder = make_cached(cache.root, SMALL, pinned=True)
    before = read_manifest(folder)

    with pytest.raises(ModelInUse, match="used by a running job"):
        cache.evict(SMALL, is_used=lambda _: True)

    assert read_manifest(folder) == before
    assert is_trusted(folder)
    assert [model.repo_id for model in cache.list()] == [SMALL]
    assert sorted(path.name for path in cache.root.iterdir()) == [SLUG]


def test_who_asks_may_say_what_uses_it(cache: ModelCache) -> None:
    folder = make_cached(cache.root, SMALL)

    def ask(repo_id: RepoId) -> bool:
        raise ModelInUse(f"{repo_id} is used by job 7.")

    with pytest.raises(ModelInUse, match="job 7"):
        cache.evict(SMALL, is_used=ask)

    assert is_trusted(folder)
    assert cache.find(SMALL) is not None


def test_a_download_that_begins_meanwhile_waits(cache: ModelCache) -> None:
    """It would look at files that are about to go."""
    folder = make_cached(cache.root, SMALL)
    incoming = incoming_folder(cache.root, folder.name)
    at_once = threading.Event()
    at_once.set()

    def begin(repo_id: RepoId) -> bool:
        with pytest.raises(Stopped), hold_lease(incoming, repo_id, Work(stop=at_once)):
            pass
        return False

    cache.evict(SMALL, is_used=begin)

    assert not folder.exists()


def test_what_evict_all_finds_in_use_stays(cache: ModelCache) -> None:
    make_cached(cache.root, SMALL)
    make_cached(cache.root, "Qwen/Qwen3-4B")

    evicted = cache.evict_all(is_used=lambda repo_id: repo_id == SMALL)

    assert [model.repo_id for model in evicted] == ["Qwen/Qwen3-4B"]
    assert cache.find(SMALL) is not None


@pytest.mark.parametrize("make_disk", [PlayedDisk, FullDisk, BareDisk, LyingDisk])
def test_evicting_works_on_every_disk(tmp_path: Path, make_disk: Callable[[], PlayedDisk]) -> None:
    cache = ModelCache(tmp_path, disk=make_disk())
    make_cached(cache.root, SMALL, {**FILES, "sub/notes.txt": b"notes"})

    assert cache.evict(SMALL) >= sum(map(len, FILES.values()))

    assert list(cache.root.iterdir()) == []


def test_on_a_full_disk_a_model_in_use_stays(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path, disk=FullDisk())
    folder = make_cached(cache.root, SMALL)
    found: list[object] = []

    def ask(repo_id: RepoId) -> bool:
        found.append(cache.find(repo_id))
        return True

    with pytest.raises(ModelInUse):
        cache.evict(SMALL, is_used=ask)

    assert found == [None]
    assert is_trusted(folder)
    assert cache.find(SMALL) is not None


def test_a_folder_without_a_record_can_be_evicted_from_a_full_disk(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path, disk=FullDisk())
    make_plain(cache.root / SLUG)
    (cache.root / SLUG / ".qwen3ft").mkdir()

    cache.evict(SMALL)

    assert list(cache.root.iterdir()) == []


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    class Refusing(PlayedDisk):
        def unlink(self, path: Path) -> None:
            raise refusal(errno.EACCES, path)

    cache = ModelCache(tmp_path, disk=Refusing())
    make_cached(cache.root, SMALL)

    with pytest.raises(CacheNotWritable):
        cache.evict(SMALL)


def test_files_held_open_on_a_network_mount_leave_the_rest_for_later(tmp_path: Path) -> None:
    class Busy(PlayedDisk):
        """NFS renames a file that is deleted while it is open."""

        is_busy = True

        def unlink(self, path: Path) -> None:
            if not self.is_busy or path.suffix == ".json":
                super().unlink(path)
            elif path.name.startswith(".nfs"):
                raise refusal(errno.EBUSY, path)
            else:
                path.rename(path.with_name(".nfs0001"))

    disk = Busy()
    cache = ModelCache(tmp_path, disk=disk)
    make_cached(cache.root, SMALL)
    with pytest.raises(ModelInUse, match="still open"):
        cache.evict(SMALL)
    assert cache.list() == []

    disk.is_busy = False
    cache.evict(SMALL)

    assert list(cache.root.iterdir()) == []


def test_two_at_once_both_succeed_or_find_nothing(cache: ModelCache) -> None:
    for number in range(5):
        make_cached(cache.root, f"a/{number}", {f"{n}.safetensors": b"x" for n in range(20)})
    ended: list[bool] = []

    def evict() -> None:
        for number in range(5):
            with contextlib.suppress(NotCached, ModelInUse):
                ModelCache(cache.root).evict(f"a/{number}")
        ended.append(True)

    threads = [threading.Thread(target=evict) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert ended == [True] * 4
    assert cache.list() == []


def test_a_planted_mark_is_no_reason_to_delete(cache: ModelCache, tmp_path: Path) -> None:
    """Only a folder without a manifest counts as half deleted, and a symlink or a pipe is no mark."""
    whole = make_cached(cache.root, SMALL)
    (whole / ".qwen3ft" / INCOMPLETE_NAME).write_text(json.dumps({"repo_id": SMALL, "evicting": True}), "utf-8")
    plain = make_plain(cache.root / "my_model")
    (plain / ".qwen3ft").mkdir()
    (tmp_path / "mark").write_text(json.dumps({"repo_id": "my/model", "evicting": True}), "utf-8")
    (plain / ".qwen3ft" / INCOMPLETE_NAME).symlink_to(tmp_path / "mark")
    piped = make_plain(cache.root / "my_pipe")
    (piped / ".qwen3ft").mkdir()
    os.mkfifo(piped / ".qwen3ft" / INCOMPLETE_NAME)

    cache.finish_evictions()

    assert [is_half_evicted(folder) for folder in (whole, plain, piped)] == [False, False, False]
    assert all((folder / "config.json").exists() for folder in (whole, plain, piped))


def test_a_symlink_in_place_of_the_record_is_not_followed(cache: ModelCache, tmp_path: Path) -> None:
    outside = make_cached(tmp_path / "outside", SMALL)
    folder = make_plain(cache.root / SLUG)
    (folder / ".qwen3ft").symlink_to(outside / ".qwen3ft", target_is_directory=True)

    remove_model(cache.root, folder, SMALL)

    assert not folder.exists()
    assert read_manifest(outside) is not None
    assert not (outside / ".qwen3ft" / INCOMPLETE_NAME).exists()


def test_a_kill_at_any_write_leaves_the_model_whole_or_absent_and_the_next_eviction_ends_it(tmp_path: Path) -> None:
    """Two revisions share their weights; one is evicted by a process that is killed before its nth write."""
    for nth in itertools.count(1):
        cache = ModelCache(tmp_path / str(nth))
        kept, goner = make_cached(cache.root, SMALL), make_cached(cache.root, SMALL, name=f"{SLUG}@v1")
        manifest = read_manifest(goner)
        assert manifest is not None
        write_manifest(goner, replace(manifest, revision="v1", commit="1" * 40))
        share_file(kept, goner, "model.safetensors")

        code = run_child(nth, "evict", cache.root, SMALL, "v1")

        found = cache.find(SMALL, "v1")
        assert found is None or is_trusted(found.folder)
        if code == 0:
            break
        assert code == -9
        for lease in cache.root.glob(".incoming/*/lease.json"):
            os.utime(lease, (0, 0))  # a half written one is believed for a few seconds
        cache.finish_evictions()
        if goner.exists():
            cache.evict(SMALL, revision="v1") if found else remove_model(cache.root, goner, SMALL)
        assert sorted(path.name for path in cache.root.iterdir() if path.name != ".incoming") == [SLUG]
        assert cache.verify(SMALL).is_ok
    assert nth > 5
    assert is_trusted(kept)
    assert not goner.exists()


def run_child(nth: int, *arguments: object) -> int:
    command = [sys.executable, "-m", "tests.cache.keeping_child", str(nth), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=120).returncode


def test_our_own_model_stays_where_that_of_another_owner_is_meant(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache")
    folder = make_cached(cache.root, SMALL)

    for owner in ("modelscope", "huggingface", "folder"):
        with pytest.raises(NotCached, match="not among what that owner keeps"):
            cache.evict_slug(folder.name, owner=owner)

    assert cache.verify(SMALL).is_ok
    assert cache.evict_slug(folder.name, owner="qwen3ft").repo_id == SMALL


def test_of_two_copies_neither_goes_by_the_name_of_one_and_the_owner_of_the_other(tmp_path: Path) -> None:
    """Theirs may be called like it by a guess alone."""
    place = Place("folder", tmp_path / "models")
    theirs = make_plain(place.root / SMALL)
    cache = ModelCache(tmp_path / "cache", places=[place])
    ours = make_cached(cache.root, SMALL)
    (model,) = (one for one in cache.list() if one.owner == "folder")

    with pytest.raises(NotCached, match="not of what that owner keeps") as caught:
        cache.evict_slug(ours.name, owner="folder")

    assert caught.value.hint == f"Theirs: {model.slug}."
    assert {path.name for path in theirs.iterdir()} == set(FILES)
    assert cache.verify(SMALL).is_ok
    assert cache.evict_slug(model.slug, owner="folder").owner == "folder"


def test_another_tools_model_goes_only_by_its_owners_name(tmp_path: Path) -> None:
    place = Place("folder", tmp_path / "models")
    folder = make_plain(place.root / "Qwen3-0.6B", {**FILES, "README.md": b"x"})
    cache = ModelCache(tmp_path / "cache", places=[place])
    (model,) = cache.list()

    with pytest.raises(CacheNotWritable, match="kept by another tool") as caught:
        cache.evict(model.repo_id)
    assert f"--owner {model.owner}" in caught.value.hint
    with pytest.raises(CacheNotWritable):
        cache.evict_slug(model.slug)
    with pytest.raises(CacheNotWritable):
        cache.evict_slug(model.slug, owner="huggingface")
    with pytest.raises(NotCached):
        cache.evict(model.repo_id, owner="huggingface")
    with pytest.raises(ModelInUse):
        cache.evict(str(folder), owner="folder", is_used=lambda _: True)
    assert cache.evict_all() == []
    assert (folder / "model.safetensors").exists()

    assert cache.evict(str(folder), owner="folder") >= len(FILES["model.safetensors"])
    assert cache.list() == []


def test_a_mark_that_is_the_manifest_itself_becomes_the_manifest_again(tmp_path: Path) -> None:
    """A crash while a full disk was asked: the model comes back by one read of its files."""
    cache = ModelCache(tmp_path)
    folder = make_cached(cache.root, SMALL)
    mark_evicting(folder, SMALL, disk=FullDisk())

    assert not manifest_path(folder).exists()
    assert cache.list() == []
    cache.finish_evictions()
    assert (folder / "model.safetensors").exists()
    cache.evict(SMALL)
    assert list(cache.root.iterdir()) == []
