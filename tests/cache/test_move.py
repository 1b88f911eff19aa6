"""A cache that moves: by our own command, by `mv` and by `cp -r`; with kills, full disks, and things in the way."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.move import move_cache
from qwen3ft_jupyter.cache.move_plan import plan_move
from qwen3ft_jupyter.cache.own.evict import is_leased
from qwen3ft_jupyter.cache.own.layout import incoming_folder
from qwen3ft_jupyter.cache.own.lease import Lease, hold_lease
from qwen3ft_jupyter.cache.own.manifest import (
    file_state,
    manifest_path,
    mark_evicting,
    mark_incomplete,
    read_manifest,
    write_manifest,
)
from qwen3ft_jupyter.cache.own.partials import partial_spans
from qwen3ft_jupyter.cache.reports import MoveReport
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.disk import write_json
from qwen3ft_jupyter.errors import (
    BadInput,
    CacheDamaged,
    CacheNotWritable,
    ModelInUse,
    NoSpace,
    NotCached,
    Stopped,
)
from qwen3ft_jupyter.hubs.names import RepoId
from qwen3ft_jupyter.transfer.partial import claim
from qwen3ft_jupyter.transfer.volume import LocalDisk
from qwen3ft_jupyter.work import SILENT, Work
from tests.cache.making import FILES, make_cached, make_plain, safetensors, share_file
from tests.played_disks import BareDisk, CopyingDisk, ForgetfulDisk, PlayedDisk, refusal
from tests.transfer.origin import Interrupter, Recorder, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SMALL = RepoId("Qwen/Qwen3-0.6B")
SLUG = "Qwen_Qwen3-0.6B"
ROOT = Path(__file__).parent.parent.parent
MB = 1 << 20


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def is_trusted(folder: Path) -> bool:
    manifest = read_manifest(folder)
    return manifest is not None and all(file_state(folder, file) == "same" for file in manifest.files)


def models(root: Path) -> list[tuple[str, bool]]:
    return [(model.repo_id, model.is_verified) for model in ModelCache(root).list()]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".qwen3ft" not in path.parts
    }


def make_all(root: Path) -> None:
    """Make a cache with one of everything that moves."""
    first = make_cached(root, SMALL, {**FILES, "sub/notes.txt": b"notes"}, pinned=True)
    second = make_cached(root, SMALL, name=f"{SLUG}@v1")
    manifest = read_manifest(second)
    assert manifest is not None
    write_manifest(second, replace(manifest, revision="v1", commit="1" * 40))
    share_file(first, second, "model.safetensors")
    (first / "mine.txt").write_text("a note of my own", "utf-8")
    (first / "link").symlink_to("config.json")
    (first / ".qwen3ft/replaced").mkdir()
    (first / ".qwen3ft/replaced/config.json").write_text("older", "utf-8")
    make_plain(root / "my_finetune")
    begin(root, "Qwen_Qwen3-4B")
    (root / ".stamps").mkdir()
    (root / ".stamps/abc.json").write_text("{}", "utf-8")


def begin(root: Path, name: str) -> None:
    """Begin a download and stop it after two ranges."""
    import zlib

    incoming = incoming_folder(root, name)
    incoming.mkdir(parents=True)
    partial = claim(incoming, "ab" * 32, 10 * MB, disk=LocalDisk(), name="model.safetensors")
    partial.open()
    for start in (0, 4 * MB):
        data = bytes_of(MB, start)
        partial.write(memoryview(data), start)
        partial.record(start, start + MB, zlib.crc32(data), "ModelScope")
    partial.close(release=True)


def check_all(root: Path) -> None:
    """Check that the cache of `make_all` is here, right, and needs no reading."""
    assert models(root) == [("my/finetune", False), (SMALL, True), (SMALL, True)]
    first, second = root / SLUG, root / f"{SLUG}@v1"
    assert contents(first) == {
        **FILES,
        "sub/notes.txt": b"notes",
        "mine.txt": b"a note of my own",
        "link": b"{}",
    }
    assert (first / "link").readlink() == Path("config.json")
    assert (first / ".qwen3ft/replaced/config.json").read_bytes() == b"older"
    assert not (first / "model.safetensors").stat().st_mode & 0o222
    assert contents(second) == FILES
    assert contents(root / "my_finetune") == FILES
    assert is_trusted(first)
    assert is_trusted(second)
    assert [model.pinned for model in ModelCache(root).list()] == [False, True, False]
    partials = partial_spans(incoming_folder(root, "Qwen_Qwen3-4B"))
    assert {key: spans.total for key, spans in partials.items()} == {"ab" * 32: 2 * MB}
    assert (root / ".stamps/abc.json").exists()


def test_on_one_volume_folders_are_renamed(source: Path, target: Path) -> None:
    make_all(source)

    report = move_cache(source, target)

    assert report == MoveReport(str(source), str(target), (SLUG, f"{SLUG}@v1", "my_finetune"), (), 0)
    check_all(target)
    assert not source.exists()


def test_where_folders_cannot_be_renamed_they_are_copied_and_read_again(source: Path, target: Path) -> None:
    make_all(source)
    recorder = Recorder()

    report = move_cache(source, target, disk=NoFolderDisk(), work=Work(reporter=recorder))

    assert report.moved == (SLUG, f"{SLUG}@v1", "my_finetune")
    assert report.left == ()
    assert report.bytes_copied > 0
    check_all(target)
    assert (target / SLUG / "model.safetensors").samefile(target / f"{SLUG}@v1" / "model.safetensors")
    assert not source.exists()
    assert recorder.phases() == ["moving", "verifying"]
    for phase in recorder.phases():
        last = [event for event in recorder.events if event.phase == phase][-1]
        assert last.done == last.total


class NoFolderDisk(PlayedDisk):
    """Renames files, not folders."""

    def replace(self, source: Path, target: Path) -> None:
        if source.is_dir():
            raise refusal(errno.EXDEV, source)
        super().replace(source, target)


@pytest.mark.parametrize("make_disk", [BareDisk, CopyingDisk, ForgetfulDisk])
def test_it_works_on_poor_disks(source: Path, target: Path, make_disk: Callable[[], PlayedDisk]) -> None:
    """Without hard links and permissions, with renames that copy, with renames whose answer gets lost."""
    make_cached(source, SMALL)
    make_cached(source, "Qwen/Qwen3-4B")
    make_plain(source / "my_finetune")

    move_cache(source, target, disk=make_disk())

    assert models(target) == [("my/finetune", False), (SMALL, True), ("Qwen/Qwen3-4B", True)]
    assert is_trusted(target / SLUG)
    assert not source.exists()


def test_to_another_volume(source: Path) -> None:
    memory = Path(os.sep, "dev", "shm")
    if not memory.is_dir() or memory.stat().st_dev == source.parent.stat().st_dev:
        pytest.skip("there is no second volume")
    target = memory / f"qwen3ft-test-{os.getpid()}"
    make_all(source)
    try:
        move_cache(source, target)
        check_all(target)
        assert not source.exists()
    finally:
        shutil.rmtree(target, ignore_errors=True)


def test_a_cache_that_has_models_already_gets_more(source: Path, target: Path) -> None:
    make_cached(source, SMALL)
    make_cached(target, "Qwen/Qwen3-4B")

    move_cache(source, target)

    assert models(target) == [(SMALL, True), ("Qwen/Qwen3-4B", True)]


def test_the_same_model_at_both_ends_is_one_afterwards(source: Path, target: Path) -> None:
    make_cached(source, SMALL)
    kept = make_cached(target, SMALL)
    inode = (kept / "model.safetensors").stat().st_ino

    report = move_cache(source, target)

    assert report.moved == (SLUG,)
    assert not source.exists()
    assert (kept / "model.safetensors").stat().st_ino == inode


@pytest.mark.parametrize("is_read", [False, True])
def test_what_lies_beside_a_model_that_is_there_already_stays(source: Path, target: Path, *, is_read: bool) -> None:
    theirs = {"notes.txt": b"mine", "checkpoints/step-5.safetensors": b"step 5"}
    make_plain(make_cached(source, SMALL), theirs)
    kept = make_cached(target, SMALL)
    if is_read:  # its stamps vouch for it no more
        os.utime(kept / "model.safetensors")

    report = move_cache(source, target)

    assert report.moved == (SLUG,)
    reason = "it holds what is not of the model: checkpoints/, notes.txt"
    assert report.left == ((SLUG, reason),)
    assert contents(source / SLUG) == theirs
    assert contents(kept) == FILES


def test_a_file_that_comes_while_a_cache_is_moved_is_not_lost(source: Path, target: Path) -> None:
    folder = make_cached(source, SMALL)
    came = Interrupter("verifying", lambda: make_plain(folder, {"notes.txt": b"mine"}))

    report = move_cache(source, target, disk=NoFolderDisk(), work=Work(reporter=came))

    assert report.left == ((SLUG, "it changed while it was moved"),)
    assert contents(folder) == {**FILES, "notes.txt": b"mine"}


def test_another_state_of_a_model_is_not_overwritten(source: Path, target: Path) -> None:
    make_cached(source, SMALL, {"config.json": b"[]"})
    make_cached(source, "Qwen/Qwen3-4B")
    make_cached(target, SMALL)

    report = move_cache(source, target)

    assert report.moved == ("Qwen_Qwen3-4B",)
    assert [name for name, _ in report.left] == [SLUG]
    assert contents(target / SLUG) == FILES
    assert contents(source / SLUG) == {"config.json": b"[]"}


def test_a_plain_folder_of_the_same_name_is_compared_and_never_written(source: Path, target: Path) -> None:
    make_plain(source / "my_same")
    make_plain(target / "my_same")
    make_plain(source / "my_other")
    make_plain(target / "my_other", {**FILES, "model.safetensors": safetensors(b"WEIGHTS" * 1000)})

    report = move_cache(source, target)

    assert report.moved == ("my_same",)
    assert report.left == (("my_other", "another state of it has its name there"),)
    assert contents(target / "my_other")["model.safetensors"] == safetensors(b"WEIGHTS" * 1000)
    assert contents(source / "my_other") == FILES


def test_what_is_no_model_stays_and_is_named(source: Path, target: Path) -> None:
    make_cached(source, SMALL)
    (source / "notes.txt").write_text("mine", "utf-8")
    make_plain(source / "data", {"train.jsonl": b"{}"})
    recorder = Recorder()

    report = move_cache(source, target, work=Work(reporter=recorder))

    reason = "it is no model of this cache"
    assert report.left == (("data", reason), ("notes.txt", reason))
    assert recorder.notices == [f"data stays where it is: {reason}.", f"notes.txt stays where it is: {reason}."]
    assert sorted(path.name for path in source.iterdir()) == ["data", "notes.txt"]


def test_a_damaged_model_stays(source: Path, target: Path) -> None:
    folder = make_cached(source, SMALL)
    make_cached(source, "Qwen/Qwen3-4B")
    path = folder / "model.safetensors"
    path.chmod(0o644)
    path.write_bytes(b"x" * len(FILES["model.safetensors"]))

    report = move_cache(source, target, disk=NoFolderDisk())

    assert report.left == ((SLUG, "it is damaged, so repair it first"),)
    assert models(target) == [("Qwen/Qwen3-4B", True)]
    assert not (target / SLUG).exists()
    assert path.exists()


def test_a_bit_lost_on_the_way_is_copied_again(source: Path, target: Path) -> None:
    make_cached(source, SMALL)

    class Flipping(NoFolderDisk):
        count = 0

        def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
            self.count += len(data) > 1000
            flipped = bytes(data[:-1]) + b"!" if self.count == 1 and len(data) > 1000 else data
            super().write_at(descriptor, memoryview(flipped), offset)

    move_cache(source, target, disk=Flipping())

    assert contents(target / SLUG) == FILES
    assert is_trusted(target / SLUG)


def test_a_volume_that_always_flips_bits_ends_the_move_with_nothing_lost(source: Path, target: Path) -> None:
    folder = make_cached(source, SMALL)

    class Flipping(NoFolderDisk):
        def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
            flipped = bytes(data[:-1]) + b"!" if len(data) > 5000 else data
            super().write_at(descriptor, memoryview(flipped), offset)

    with pytest.raises(CacheDamaged, match="reads differently"):
        move_cache(source, target, disk=Flipping())

    assert is_trusted(folder)
    assert models(target) == []


def test_no_room_is_refused_before_anything_is_written(source: Path, target: Path) -> None:
    class Small(NoFolderDisk):
        def free_bytes(self, folder: Path) -> int:  # noqa: ARG002
            return 1000

    make_all(source)

    with pytest.raises(NoSpace, match=r"bytes\) are missing"):
        move_cache(source, target, disk=Small())

    check_all(source)
    assert models(target) == []


def test_a_move_into_itself_is_refused(source: Path, tmp_path: Path) -> None:
    make_cached(source, SMALL)
    (tmp_path / "alias").symlink_to(source)

    for target in (source, source / "inside", tmp_path, tmp_path / "alias", tmp_path / "alias" / "inside"):
        with pytest.raises(BadInput):
            move_cache(source, target)

    assert models(source) == [(SMALL, True)]


def test_what_is_not_there_cannot_be_moved(source: Path, target: Path) -> None:
    with pytest.raises(NotCached):
        move_cache(source, target)
    assert not target.exists()


@pytest.mark.parametrize("end", ["source", "target"])
def test_nothing_moves_while_a_model_is_being_downloaded(source: Path, target: Path, end: str) -> None:
    make_cached(source, SMALL)
    incoming = incoming_folder(source if end == "source" else target, "Qwen_Qwen3-4B")

    with (
        hold_lease(incoming, "Qwen/Qwen3-4B", Work()),
        pytest.raises(ModelInUse, match="Qwen/Qwen3-4B"),
    ):
        move_cache(source, target)

    assert models(source) == [(SMALL, True)]
    assert not is_leased(incoming)


def test_nothing_moves_while_a_model_is_used(source: Path, target: Path) -> None:
    make_cached(source, SMALL)
    make_cached(source, "Qwen/Qwen3-4B")

    with pytest.raises(ModelInUse):
        move_cache(source, target, is_used=lambda repo_id: repo_id == "Qwen/Qwen3-4B")

    assert len(models(source)) == 2
    assert models(target) == []


def test_a_model_that_comes_into_use_meanwhile_stays_beside_its_copy(source: Path, target: Path) -> None:
    make_cached(source, SMALL)
    asked: list[RepoId] = []

    def comes_into_use(repo_id: RepoId) -> bool:
        asked.append(repo_id)
        return len(asked) > 1

    report = move_cache(source, target, disk=NoFolderDisk(), is_used=comes_into_use)

    assert report.left == ((SLUG, "it is in use; its copy is complete"),)
    assert models(source) == models(target) == [(SMALL, True)]
    assert is_trusted(source / SLUG)


def test_a_model_replaced_meanwhile_is_not_deleted(source: Path, target: Path) -> None:
    folder = make_cached(source, SMALL)
    manifest = read_manifest(folder)
    assert manifest is not None
    newer = replace(manifest, commit="d" * 40, created=manifest.created + 1)

    report = move_cache(
        source,
        target,
        disk=NoFolderDisk(),
        work=Work(reporter=Interrupter("verifying", lambda: write_manifest(folder, newer))),
    )

    assert report.left == ((SLUG, "it changed while it was moved"),)
    assert is_trusted(folder)


@pytest.mark.parametrize("phase", ["moving", "verifying"])
def test_a_stopped_move_deletes_nothing_and_goes_on_later(source: Path, target: Path, phase: str) -> None:
    make_all(source)
    make_cached(source, "Qwen/Qwen3-8B", {"model.safetensors": bytes_of(3 * MB)})
    stop = threading.Event()
    with pytest.raises(Stopped):
        move_cache(source, target, disk=NoFolderDisk(), work=Work(reporter=Interrupter(phase, stop.set), stop=stop))
    assert contents(source / "Qwen_Qwen3-8B") == {"model.safetensors": bytes_of(3 * MB)}
    assert len(models(source)) == 4

    move_cache(source, target, disk=NoFolderDisk())

    shutil.rmtree(target / "Qwen_Qwen3-8B")
    check_all(target)
    assert not source.exists()


@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_kill_at_any_write_leaves_every_model_whole_somewhere_and_the_next_move_ends_it(
    tmp_path: Path, action: str
) -> None:
    for nth in itertools.count(1, 1 if action == "move" else 3):
        source, target = tmp_path / f"{nth}/source", tmp_path / f"{nth}/target"
        make_cached(source, SMALL, {"config.json": b"{}", "model.safetensors": b"weights" * 1000, "sub/a.txt": b"a"})
        make_cached(source, "Qwen/Qwen3-4B")
        make_plain(source / "my_finetune")

        command = [sys.executable, "-m", "tests.cache.keeping_child", str(nth), action, str(source), str(target)]
        code = subprocess.run(command, cwd=ROOT, check=False, timeout=120).returncode

        assert whole(source, target) == {SMALL, "Qwen/Qwen3-4B", "my/finetune"}
        if code == 0:
            break
        assert code == -9
        age_begun(source, target)
        report = move_cache(source, target, disk=BareDisk() if action == "copy" else PlayedDisk())
        assert report.left == ()
        assert not source.exists()
        assert models(target) == [("my/finetune", False), (SMALL, True), ("Qwen/Qwen3-4B", True)]
        assert all(ModelCache(target).verify(name).is_ok for name in (SMALL, "Qwen/Qwen3-4B"))
    assert nth > 5


def whole(*roots: Path) -> set[str]:
    """Return the models that are whole at one of the ends: what is shown as a model is right."""
    found: set[str] = set()
    for root in roots:
        for model in ModelCache(root).list():
            if model.is_verified:
                assert ModelCache(root).verify(model.repo_id).is_ok
                found.add(model.repo_id)
            elif contents(model.folder) == FILES:
                found.add(model.repo_id)
    return found


def age_begun(*roots: Path) -> None:
    """Age what a kill left half written: a young file may be somebody's."""
    for root in roots:
        for path in root.glob(".incoming/*/*"):
            os.utime(path, (0, 0))


def test_a_half_deleted_model_is_deleted_and_a_half_downloaded_one_stays_half(source: Path, target: Path) -> None:
    gone, half = make_cached(source, SMALL), make_cached(source, "Qwen/Qwen3-4B")
    mark_evicting(gone, SMALL)
    manifest_path(gone).unlink()
    mark_incomplete(half, RepoId("Qwen/Qwen3-4B"))

    report = move_cache(source, target, disk=NoFolderDisk())

    assert report.moved == ("Qwen_Qwen3-4B",)
    assert models(target) == []
    assert contents(target / "Qwen_Qwen3-4B") == FILES
    assert not source.exists()


def test_planted_symlinks_in_the_target_are_not_written_through(source: Path, target: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    make_cached(source, SMALL, {**FILES, "sub/notes.txt": b"notes"})
    make_cached(source, "Qwen/Qwen3-4B")
    half = make_plain(target / SLUG, {"config.json": b"{}"})
    mark_incomplete(half, SMALL)
    (half / "sub").symlink_to(outside, target_is_directory=True)
    (half / "model.safetensors").symlink_to(outside / "stolen")
    (target / "Qwen_Qwen3-4B").symlink_to(outside, target_is_directory=True)

    report = move_cache(source, target)

    assert list(outside.iterdir()) == []
    assert report.left == (("Qwen_Qwen3-4B", "something else has its name there"),)
    assert contents(target / SLUG) == {**FILES, "sub/notes.txt": b"notes"}
    assert is_trusted(target / SLUG)


def test_a_symlink_in_the_source_is_no_model(source: Path, target: Path, tmp_path: Path) -> None:
    outside = make_cached(tmp_path / "outside", SMALL)
    source.mkdir()
    (source / SLUG).symlink_to(outside, target_is_directory=True)

    report = move_cache(source, target)

    assert report.moved == ()
    assert models(target) == []
    assert contents(outside) == FILES


def test_a_manifest_that_is_not_believed_does_not_become_believed(source: Path, target: Path) -> None:
    """A copied cache has fresh inodes; only we can write stamps, so we must not write them for a stranger."""
    original = make_cached(source.parent / "stranger", SMALL)
    shutil.copytree(original.parent, source)

    move_cache(source, target, trust_manifests=False, disk=NoFolderDisk())

    assert [model.is_verified for model in ModelCache(target, trust_manifests=False).list()] == [False]


@pytest.mark.parametrize("command", [["mv"], ["cp", "-r"], ["cp", "-a"]])
def test_a_cache_moved_or_copied_by_hand_just_works_and_is_read_once(
    source: Path, target: Path, command: Sequence[str]
) -> None:
    make_cached(source, SMALL)
    subprocess.run([*command, str(source), str(target)], check=True)
    cache = ModelCache(target)
    assert models(target) == [(SMALL, True)]

    assert cache.verify(SMALL).is_ok

    assert is_trusted(target / SLUG)


def test_a_renamed_cache_needs_no_reading(source: Path, target: Path) -> None:
    make_cached(source, SMALL)

    source.rename(target)

    assert is_trusted(target / SLUG)


def test_the_report_is_ready_for_json(source: Path, target: Path) -> None:

    make_cached(source, SMALL)

    report = move_cache(source, target)

    assert report.moved == (SLUG,)


def test_a_manifest_that_is_not_believed_is_not_renamed_into_a_place_where_it_would_be(
    source: Path, target: Path
) -> None:
    original = make_cached(source.parent / "stranger", SMALL)
    shutil.copytree(original.parent, source)
    make_cached(source, "Qwen/Qwen3-4B")  # written here, so believed

    move_cache(source, target, trust_manifests=False)

    assert {model.repo_id: model.is_verified for model in ModelCache(target).list()} == {
        SMALL: False,
        "Qwen/Qwen3-4B": True,
    }
    assert contents(target / SLUG) == FILES
    assert not source.exists()


def test_an_empty_folder_that_is_not_ours_stays_and_is_named(source: Path, target: Path) -> None:
    make_cached(source, SMALL)
    (source / "notes").mkdir()

    report = move_cache(source, target)

    assert report.left == (("notes", "it is no model of this cache"),)
    assert (source / "notes").is_dir()


def test_what_somebody_begins_to_download_meanwhile_stays(source: Path, target: Path) -> None:
    make_cached(source, SMALL)
    incoming = incoming_folder(source, "Qwen_Qwen3-4B")

    class Slow(LocalDisk):
        def replace(self, source: Path, target: Path) -> None:
            super().replace(source, target)
            if source.name == SLUG:
                incoming.mkdir(parents=True)
                write_json(
                    incoming / "lease.json", Lease(incoming, "Qwen/Qwen3-4B", SILENT, has_waited=False).to_dict()
                )

    report = move_cache(source, target, disk=Slow())

    assert report.moved == (SLUG,)
    assert (incoming / "lease.json").exists()
    assert dict(report.left)[".incoming/Qwen_Qwen3-4B"] == "it is being downloaded"


# what it would do


def tree(root: Path) -> dict[str, tuple[int, int]]:
    """Return all there is, and when it was written."""
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in root.rglob("*")}


def test_a_plan_touches_nothing_and_is_what_is_done(source: Path, target: Path) -> None:
    make_all(source)
    (source / "notes.txt").write_text("mine", "utf-8")
    before = tree(source.parent)

    plan = plan_move(source, target)

    assert tree(source.parent) == before
    assert plan.bytes_to_copy == 0
    assert plan.missing_bytes == 0
    assert plan.stays == ("notes.txt",)
    report = move_cache(source, target)
    assert (plan.source, plan.target, plan.folders) == (report.source, report.target, report.moved)
    assert report.left == (("notes.txt", "it is no model of this cache"),)


def test_a_plan_to_another_volume_counts_what_is_copied(source: Path) -> None:
    memory = Path(os.sep, "dev", "shm")
    if not memory.is_dir() or memory.stat().st_dev == source.parent.stat().st_dev:
        pytest.skip("there is no second volume")
    make_all(source)
    target = memory / f"qwen3ft-test-{os.getpid()}"
    shared = len(FILES["model.safetensors"])  # two revisions have it, and it is copied once

    plan = plan_move(source, target)

    assert not target.exists()
    assert plan.bytes_to_copy == plan.size_bytes - shared


def test_what_the_target_has_already_is_not_copied(source: Path, target: Path) -> None:
    make_cached(source, SMALL)
    make_cached(target, SMALL)

    plan = plan_move(source, target)

    assert (plan.folders, plan.bytes_to_copy) == ((SLUG,), 0)


def test_a_plan_says_how_much_room_is_missing(source: Path, target: Path) -> None:
    make_cached(source, SMALL)
    make_cached(target, SMALL, {"config.json": b"[]"})  # so that it cannot be renamed

    class Full(LocalDisk):
        def free_bytes(self, folder: Path) -> int | None:  # noqa: ARG002 - everywhere
            return 10

    plan = plan_move(source, target, disk=Full())

    assert plan.free_bytes == 10
    assert plan.missing_bytes > plan.bytes_to_copy > 0


def test_a_plan_refuses_what_the_move_refuses(source: Path, target: Path, tmp_path: Path) -> None:
    with pytest.raises(NotCached):
        plan_move(source, target)
    make_cached(source, SMALL)
    (tmp_path / "file").touch()

    with pytest.raises(BadInput, match="into itself"):
        plan_move(source, source / "below")
    for path in (tmp_path / "file", tmp_path / "file/below/it"):
        with pytest.raises(CacheNotWritable, match="Not a directory"):
            plan_move(source, path)
    with pytest.raises(ModelInUse):
        plan_move(source, target, is_used=lambda _: True)
    assert not target.exists()


def test_where_nobody_may_write_nothing_is_planned(source: Path, tmp_path: Path) -> None:
    make_cached(source, SMALL)
    (tmp_path / "theirs").mkdir(mode=0o555)
    if os.access(tmp_path / "theirs", os.W_OK):
        pytest.skip("this user may write everywhere")

    with pytest.raises(CacheNotWritable, match="Permission denied"):
        plan_move(source, tmp_path / "theirs/models")
