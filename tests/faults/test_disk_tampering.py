"""What others do to the cache behind our back."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.manifest import manifest_path, read_manifest
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import CacheError, CacheNotWritable, Qwen3ftError
from tests.faults.downloads import (
    FILES,
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
from tests.transfer.origin import REPO, Interrupter, Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def flip_and_hide(path: Path) -> None:
    """As a failing disk or a program that keeps times does it: size and time of change of the bytes stay."""
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def empty(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"\0")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "mine.txt").write_bytes(b"precious")


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: list[Callable[[Path], None]] = [flip, flip_and_hide, empty, cut, lengthen, Path.unlink, make_folder, make_pipe]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", [WEIGHTS, "sub/deep/notes.txt"])
def test_a_file_damaged_in_the_cache_is_noticed_and_comes_again(
    tmp_path: Path, origin: Origin, damage: Callable[[Path], None], name: str
) -> None:
    root = tmp_path / "cache"
    complete(root, origin)
    damage(root / NAME / name)

    assert not ModelCache(root).verify(REPO).is_ok
    ensured = complete(root, origin)

    assert ensured.bytes_fetched == len(FILES[name])


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("what", ["part", "journal", "lease.json"])
def test_what_is_on_its_way_is_damaged_and_the_right_bytes_come_all_the_same(
    tmp_path: Path, origin: Origin, damage: Callable[[Path], None], what: str
) -> None:
    """While the download runs: it ends well, or with an error of ours, and the next one ends well."""
    root = tmp_path / "cache"

    def do_damage() -> None:
        for path in (root / ".incoming").rglob(f"*{what}"):
            damage(path)

    told = Interrupter("transferring", do_damage)
    try:
        ensure(ModelCache(root), origin, reporter=told)
    except Qwen3ftError:
        check_visible(root)
    lease = root / ".incoming" / NAME / "lease.json"  # else a garbage one is waited for, a few seconds
    if lease.is_dir():
        shutil.rmtree(lease)
    lease.unlink(missing_ok=True)

    complete(root, origin)


@pytest.mark.parametrize("content", [b"", b"{}", b"garbage", b"[" * 100_000, b'{"version": 1}', b"\xff" * 100])
def test_a_garbage_manifest_makes_the_folder_an_unverified_one_that_costs_no_byte(
    tmp_path: Path, origin: Origin, content: bytes
) -> None:
    root = tmp_path / "cache"
    complete(root, origin)
    manifest_path(root / NAME).write_bytes(content)

    assert not any(model.is_verified for model in ModelCache(root).list())
    assert complete(root, origin).bytes_fetched == 0


def test_a_removed_record_costs_no_byte(tmp_path: Path, origin: Origin) -> None:
    root = tmp_path / "cache"
    complete(root, origin)
    shutil.rmtree(root / NAME / ".qwen3ft")

    assert complete(root, origin).bytes_fetched == 0


def test_a_model_deleted_while_it_is_downloaded_again_comes_whole(tmp_path: Path, origin: Origin) -> None:
    root = tmp_path / "cache"
    complete(root, origin)
    told = Interrupter("transferring", lambda: shutil.rmtree(root / NAME))

    ensure(ModelCache(root), origin, reporter=told, force=True)

    assert contents(root / NAME) == FILES


PLANTED = [
    ".incoming",
    f".incoming/{NAME}",
    NAME,
    f"{NAME}/.qwen3ft",
    f"{NAME}/.qwen3ft/replaced",
    f"{NAME}/sub",
    f"{NAME}/sub/deep",
]


@pytest.mark.parametrize("place", PLANTED)
def test_a_symlink_planted_for_a_folder_leads_nothing_of_ours_outside(
    tmp_path: Path, origin: Origin, place: str
) -> None:
    root, outside = tmp_path / "cache", tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    link = root / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside, target_is_directory=True)
    if place.endswith("replaced"):  # so that something has to be moved there
        (root / NAME / WEIGHTS).write_bytes(b"mine")

    assert try_once(ModelCache(root), origin) is None

    assert contents(outside) == {"precious": b"precious"}
    assert not (ModelCache(root).list()[0].folder).is_symlink()


@pytest.mark.parametrize("place", [WEIGHTS, "config.json", ".qwen3ft/manifest.json", ".qwen3ft/incomplete"])
def test_a_symlink_planted_for_a_file_is_not_written_through(tmp_path: Path, origin: Origin, place: str) -> None:
    root, outside = tmp_path / "cache", tmp_path / "outside"
    outside.write_bytes(FILES[WEIGHTS])
    link = root / NAME / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)

    ensured = complete(root, origin)

    assert not link.is_symlink()
    assert outside.read_bytes() == FILES[WEIGHTS]
    assert ensured.bytes_fetched == SIZE


@pytest.mark.parametrize("suffix", ["part", "journal"])
def test_a_symlink_planted_for_what_was_begun_is_not_written_through(
    tmp_path: Path, origin: Origin, suffix: str
) -> None:
    root, outside = tmp_path / "cache", tmp_path / "outside"
    child = Child(origin, root, disk="KillingDisk", arguments=[5, "append"])
    child.end()
    child.kill()
    begun = list((root / ".incoming").rglob(f"*.{suffix}"))
    assert begun
    for path in begun:
        outside.write_bytes(path.read_bytes())
        path.unlink()
        path.symlink_to(outside)
    before = outside.read_bytes()

    complete(root, origin)

    assert outside.read_bytes() == before


def test_an_eviction_follows_no_symlink(tmp_path: Path, origin: Origin) -> None:
    root, outside = tmp_path / "cache", tmp_path / "outside"
    complete(root, origin)
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    (root / NAME / "link").symlink_to(outside, target_is_directory=True)
    shutil.rmtree(root / NAME / "sub")
    (root / NAME / "sub").symlink_to(outside, target_is_directory=True)

    ModelCache(root).evict(REPO)

    assert contents(outside) == {"precious": b"precious"}
    assert not (root / NAME).exists()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


NOBODY = 65534
needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can act as another user"
)


@needs_root
def test_the_cache_of_another_user_is_said_not_to_be_ours(open_folder: Path, origin: Origin) -> None:
    root = open_folder / "cache"
    root.mkdir(0o755)

    answer = Child(origin, root, uid=NOBODY).end()

    assert answer["error"] == CacheNotWritable.__name__
    assert list(root.iterdir()) == []


@needs_root
def test_a_model_of_another_user_that_may_be_read_is_used(open_folder: Path, origin: Origin) -> None:
    root = open_folder / "cache"
    complete(root, origin)

    answer = Child(origin, root, uid=NOBODY).end()

    assert answer["result"] == {"bytes": 0, "was_cached": True}


@needs_root
@pytest.mark.parametrize("place", [NAME, f"{NAME}/.qwen3ft", f".incoming/{NAME}", ".incoming"])
def test_a_folder_of_another_user_in_our_cache_is_left_alone(open_folder: Path, origin: Origin, place: str) -> None:
    root = open_folder / "cache"
    (root / place).mkdir(parents=True)
    (root / place / "precious").write_bytes(b"precious")
    for path in [root, *root.rglob("*")]:
        if path != root / place:
            os.chown(path, NOBODY, NOBODY)
    os.chown(root / place / "precious", 0, 0)
    (root / place).chmod(0o755)

    answer = Child(origin, root, uid=NOBODY).end()

    assert answer.get("error") == CacheNotWritable.__name__
    assert (root / place / "precious").read_bytes() == b"precious"
    check_visible(root)


@needs_root
def test_a_model_of_another_user_that_may_not_be_read_is_not_believed(open_folder: Path, origin: Origin) -> None:
    root = open_folder / "cache"
    complete(root, origin)
    root.chmod(0o777)
    (root / NAME).chmod(0o700)

    answer = Child(origin, root, uid=NOBODY).end()

    assert "error" in answer or answer["result"]["bytes"] == SIZE
    (root / NAME).chmod(0o755)
    assert contents(root / NAME) == FILES
    assert read_manifest(root / NAME) is not None


def test_a_folder_that_is_not_a_models_is_not_deleted(tmp_path: Path, origin: Origin) -> None:
    root, outside = tmp_path / "cache", tmp_path / "outside"
    complete(outside, origin)
    root.mkdir()
    (root / NAME).symlink_to(outside / NAME, target_is_directory=True)

    with pytest.raises(CacheError):
        ModelCache(root).evict(REPO)

    assert contents(outside / NAME) == FILES
    assert stat.S_ISLNK((root / NAME).lstat().st_mode)
