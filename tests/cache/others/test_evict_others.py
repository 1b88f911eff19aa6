"""What no manifest lists is not ours: it survives every eviction that did not name it."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.evict import remove_model
from qwen3ft_jupyter.cache.own.manifest import is_half_evicted, read_manifest
from qwen3ft_jupyter.cache.quota import freed_bytes
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import CacheNotWritable, NoSpace, NotCached
from qwen3ft_jupyter.hubs.names import RepoId
from tests.cache.bringing import bring, model_folder
from tests.cache.making import FILES, make_cached, make_plain
from tests.download.test_room import make_room
from tests.power_cuts import LOSSES, Loss, PowerCut, PowerCutDisk
from tests.transfer.origin import REPO, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NEW = RepoId("Qwen/Qwen3-32B")
OWN_WEIGHTS = b"trained for a week"
THEIRS = {"notes.txt": b"learned", "checkpoints/step-5/model.safetensors": b"step 5", "sub/train.jsonl": b"{}"}
LISTED = {**FILES, "sub/vocab.txt": b"words"}
KEPT = {**THEIRS, ".qwen3ft/replaced/model.safetensors": OWN_WEIGHTS}
SIZE = sum(map(len, LISTED.values()))
KEPT_SIZE = sum(map(len, KEPT.values()))


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


def adopted(root: Path) -> Path:
    """Make a folder in which somebody worked, and bring a model into it."""
    folder = make_plain(model_folder(root), {**THEIRS, "model.safetensors": OWN_WEIGHTS})
    bring(root, LISTED)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def evict_all(cache: ModelCache) -> None:
    cache.evict_all()


def evict_for_quota(cache: ModelCache) -> None:
    make_room(cache, 10, quota_bytes=KEPT_SIZE + 100, keep=NEW)


def evict_by_name(cache: ModelCache) -> None:
    cache.evict(REPO)


def evict_by_slug(cache: ModelCache) -> None:
    cache.evict_slug(model_folder(cache.root).name)


@pytest.mark.parametrize("evict", [evict_all, evict_for_quota, evict_by_name, evict_by_slug])
def test_what_lay_there_before_a_download_survives(cache: ModelCache, evict: Callable[[ModelCache], None]) -> None:
    folder = adopted(cache.root)
    make_plain(folder, {"after.txt": b"written since"})

    evict(cache)

    assert contents(folder) == {**KEPT, "after.txt": b"written since"}
    assert cache.list() == []


def test_a_named_eviction_says_what_stays(cache: ModelCache) -> None:
    folder, recorder = adopted(cache.root), Recorder()

    assert cache.evict(REPO, reporter=recorder) == SIZE

    (notice,) = recorder.notices
    assert ".qwen3ft/replaced/, checkpoints/, notes.txt and 1 more in " + folder.name in notice
    assert notice.endswith("evict Qwen/Qwen3-Test --everything")


def test_a_mass_eviction_answers_what_stays(cache: ModelCache) -> None:
    adopted(cache.root)
    make_cached(cache.root, "a/b")

    evicted = {model.repo_id: (model.freed_bytes, model.left) for model in cache.evict_all()}

    assert evicted == {
        "a/b": (sum(map(len, FILES.values())), ()),
        REPO: (SIZE, (".qwen3ft/replaced/", "checkpoints/", "notes.txt", "sub/")),
    }


@pytest.mark.parametrize("is_evicted", [False, True])
def test_everything_goes_if_told(cache: ModelCache, *, is_evicted: bool) -> None:
    adopted(cache.root)
    if is_evicted:
        cache.evict(REPO)
        with pytest.raises(NotCached):
            cache.evict(REPO)

    assert cache.evict(REPO, everything=True) == KEPT_SIZE + SIZE * (not is_evicted)

    assert list(cache.root.iterdir()) == []


def test_what_a_named_eviction_left_can_go_after_a_mass_eviction_too(cache: ModelCache) -> None:
    adopted(cache.root)
    cache.evict(REPO)
    cache.evict_all()

    assert cache.evict(REPO, everything=True) == KEPT_SIZE

    assert list(cache.root.iterdir()) == []


@pytest.mark.parametrize("extra", [{}, {"after.txt": b"mine"}])
def test_of_what_an_eviction_left_only_an_empty_folder_goes_later(cache: ModelCache, extra: dict[str, bytes]) -> None:
    make_cached(cache.root, REPO)
    folder = make_plain(model_folder(cache.root), {"notes.txt": b"mine"})
    cache.evict(REPO)
    (folder / "notes.txt").unlink()
    make_plain(folder, extra)

    cache.evict_all()

    assert folder.exists() == bool(extra)
    assert not (folder / ".qwen3ft").exists()


def test_everything_of_one_model_is_nothing_of_another(cache: ModelCache) -> None:
    other = make_cached(cache.root, "a_b/c")
    make_plain(cache.root / "a_d", {"notes.txt": b"mine"})
    make_cached(cache.root, "a/b", name="a_b")

    cache.evict("a/b", everything=True)

    assert read_manifest(other) is not None
    assert contents(cache.root / "a_d") == {"notes.txt": b"mine"}


def test_a_file_that_somebody_exchanged_is_theirs(cache: ModelCache) -> None:
    """Of another size, of the same size, a folder and a symlink: each in the place of a file that was downloaded."""
    names = ("longer.json", "other.json", "folder.json", "link.json", "right.json")
    folder = make_cached(cache.root, "a/b", dict.fromkeys(names, b"12345"))
    for name in names[:-1]:
        (folder / name).unlink()
    make_plain(folder, {"longer.json": b"123456", "other.json": b"54321", "folder.json/x": b"x"})
    (folder / "link.json").symlink_to("other.json")

    (evicted,) = cache.evict_all()

    assert evicted.left == ("folder.json/", "link.json", "longer.json", "other.json")
    assert contents(folder) == {
        "longer.json": b"123456",
        "other.json": b"54321",
        "folder.json/x": b"x",
        "link.json": b"54321",
    }


def test_a_named_eviction_takes_what_has_the_path_of_a_file_of_the_model(cache: ModelCache) -> None:
    folder = make_cached(cache.root, "a/b")
    (folder / "config.json").chmod(0o644)
    (folder / "config.json").write_bytes(b"{ }")

    cache.evict("a/b")

    assert not folder.exists()


def test_a_cache_that_was_copied_is_read_and_evicted(cache: ModelCache, tmp_path: Path) -> None:
    """Every stamp is another one then, so the bytes decide."""
    shutil.copytree(adopted(tmp_path / "before"), model_folder(cache.root), copy_function=shutil.copyfile)

    cache.evict_all()

    assert contents(model_folder(cache.root)) == KEPT


def test_a_folder_that_somebody_made_keeps_what_models_do_not_have(cache: ModelCache) -> None:
    folder = make_plain(cache.root / "me_mine", {**FILES, "README.md": b"# mine", **THEIRS})

    assert cache.evict_all() == []
    cache.evict("me/mine")
    assert contents(folder) == THEIRS
    assert not (folder / ".qwen3ft").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the lease's dies of the cut, too
@pytest.mark.parametrize("loss", LOSSES)
def test_after_every_cut_of_an_eviction_what_is_others_is_there(tmp_path: Path, loss: Loss) -> None:
    adopted(tmp_path / "start")
    for operations in range(1000):
        cache = ModelCache(tmp_path / "cache")
        shutil.rmtree(cache.root, ignore_errors=True)
        shutil.copytree(tmp_path / "start", cache.root)
        disk = PowerCutDisk(cache.root, operations)
        with contextlib.suppress(PowerCut):
            remove_model(cache.root, model_folder(cache.root), REPO, extent="recorded", disk=disk)
        disk.settle(loss)
        shutil.rmtree(cache.root / ".incoming", ignore_errors=True)  # the lease, as if this process had died

        is_begun = is_half_evicted(model_folder(cache.root))
        cache.finish_evictions()

        left = contents(model_folder(cache.root))
        assert KEPT.items() <= left.items()
        assert left == KEPT or not (is_begun or not disk.is_cut)
        if not disk.is_cut:
            break
    assert operations > 10


def test_an_eviction_without_a_list_is_finished_only_by_name(cache: ModelCache) -> None:
    """Earlier versions marked a folder without saying which of its files go."""
    folder = adopted(cache.root)
    (folder / ".qwen3ft/manifest.json").unlink()
    (folder / ".qwen3ft/incomplete").write_text(f'{{"repo_id": "{REPO}", "evicting": true}}', "utf-8")

    cache.finish_evictions()
    assert {**KEPT, **LISTED}.items() <= contents(folder).items()
    assert cache.list() == []

    cache.evict(REPO)
    assert KEPT.items() <= contents(folder).items()
    assert not (folder / "model.safetensors").exists()


def test_what_lies_beside_a_model_counts_in_the_quota_as_long_as_the_model_is_there(cache: ModelCache) -> None:
    adopted(cache.root)
    make_plain(cache.root / "data", {"train.jsonl": b"x" * 1000})  # nothing of ours was ever in there

    (holding,) = cache.holdings()
    assert cache.used_bytes() == SIZE + KEPT_SIZE
    assert freed_bytes([holding], [holding.model]) == SIZE

    cache.evict_all()

    assert cache.used_bytes() == 0, "what is left is no cache of ours any more"


def test_what_does_not_fit_because_of_others_files_is_refused_and_nothing_goes(cache: ModelCache) -> None:
    folder = adopted(cache.root)
    before = contents(folder)

    with pytest.raises(NoSpace):
        make_room(cache, 10, quota_bytes=KEPT_SIZE, keep=NEW)

    assert contents(folder) == before


def test_a_folder_of_others_files_is_downloaded_into_again(cache: ModelCache) -> None:
    adopted(cache.root)
    cache.evict_all()

    bring(cache.root, LISTED)

    assert {**KEPT, **LISTED}.items() <= contents(model_folder(cache.root)).items()
    assert [model.repo_id for model in cache.list()] == [REPO]


def test_a_shared_layer_is_not_evicted_with_everything_either(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache", [tmp_path / "shared"])
    folder = adopted(tmp_path / "shared")

    with pytest.raises(CacheNotWritable):
        cache.evict(REPO, everything=True)

    assert (folder / "notes.txt").exists()
