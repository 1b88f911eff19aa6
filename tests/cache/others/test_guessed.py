"""A folder that is only called like a model is not that model: it is neither handed out nor deleted as it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.others import places
from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import BadName, CacheError, CacheNotWritable, HubUnreachable, NotCached
from qwen3ft_jupyter.manager.overview import model_rows
from tests.cache.making import make_cached, safetensors
from tests.cache.other_caches import state_of
from tests.download.test_ensure import FILES, ensure, make_plain
from tests.transfer.origin import REPO, Origin, Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN_WORK = {
    **FILES,
    "model.safetensors": safetensors(b"trained for a week"),
    "README.md": b"# my run",
    "LICENSE": b"mine",
}


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    yield
    places._remembered.clear()


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Make a run of the user that is called like the model it began from."""
    return make_plain(tmp_path / "runs" / REPO, OWN_WORK)


@pytest.fixture
def cache(tmp_path: Path, run: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache", places=[Place("folder", run.parent.parent)])


def test_it_is_listed_but_not_found(cache: ModelCache, run: Path) -> None:
    (model,) = cache.list()

    assert (model.folder, model.repo_id, model.is_guessed, model.is_verified) == (run, REPO, True, False)
    assert cache.find(REPO) is None
    assert [row.cached for row in model_rows(cache.list(), {})] == [False] * len(model_rows([], {}))


def test_offline_it_is_not_handed_out_but_named(cache: ModelCache, run: Path, origin: Origin) -> None:
    with pytest.raises(NotCached, match="network is switched off") as caught:
        ensure(cache, origin, offline=True)

    assert f"{run.name} is called like it" in caught.value.hint
    assert str(run.parent) not in f"{caught.value.message} {caught.value.hint}"
    assert list(caught.value.details.values()) == [str(run)]


def test_without_a_hub_it_is_not_handed_out_either(cache: ModelCache) -> None:
    with Origin(FILES) as gone:
        pass

    with pytest.raises(HubUnreachable):
        ensure(cache, gone)


def test_online_its_bytes_are_compared_and_the_model_downloaded(cache: ModelCache, run: Path, origin: Origin) -> None:
    before = state_of(run)

    ensured = ensure(cache, origin, in_place=True, reporter=Recorder())

    assert ensured.model.folder.parent == cache.root
    assert (ensured.model.folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert state_of(run) == before


def test_it_is_not_deleted_by_the_models_name(cache: ModelCache, run: Path) -> None:
    before = state_of(run.parent)

    with pytest.raises(CacheError, match="only called like") as caught:
        cache.evict(REPO, owner="folder")
    with pytest.raises(CacheNotWritable, match="only called like"):
        cache.evict(REPO)

    assert list(caught.value.details.values()) == [str(run)]
    assert str(run.parent) not in f"{caught.value.message} {caught.value.hint}"
    assert state_of(run.parent) == before


def test_of_several_none_is_deleted_and_all_are_named(cache: ModelCache, run: Path) -> None:
    other = make_plain(run.parent.parent / "old" / REPO, OWN_WORK)
    before = state_of(run.parent.parent)

    with pytest.raises(CacheError, match="2 folders may hold") as caught:
        cache.evict(REPO, owner="folder")

    assert sorted(caught.value.details.values()) == sorted([str(run), str(other)])
    assert state_of(run.parent.parent) == before


def test_it_is_deleted_by_its_path_and_nothing_else_is(cache: ModelCache, run: Path, tmp_path: Path) -> None:
    other = make_plain(run.parent.parent / "old" / REPO, OWN_WORK)
    before = state_of(other)

    for wrong in (str(run.parent), str(tmp_path / "elsewhere"), "/"):
        with pytest.raises(NotCached):
            cache.evict(wrong, owner="folder")
    with pytest.raises(BadName):
        cache.evict("runs/../../etc", owner="folder")
    cache.evict(str(run), owner="folder")

    assert not (run / "model.safetensors").exists()
    assert state_of(other) == before


def test_what_was_compared_is_the_model_and_only_its_files_go(tmp_path: Path, origin: Origin) -> None:
    folder = make_plain(tmp_path / "models" / REPO, {**FILES, "README.md": b"# my notes on it"})
    cache = ModelCache(tmp_path / "cache", places=[Place("folder", tmp_path / "models")])
    assert ensure(cache, origin, in_place=True).model.folder == folder

    found = cache.find(REPO)
    assert found is not None
    assert (found.folder, found.is_guessed) == (folder, False)
    assert ensure(cache, origin, offline=True).model.folder == folder
    cache.evict(REPO, owner="folder")

    assert not (folder / "model.safetensors").exists()
    assert (folder / "README.md").read_bytes() == b"# my notes on it"


def test_what_has_changed_since_it_was_compared_is_the_model_no_more(tmp_path: Path, origin: Origin) -> None:
    folder = make_plain(tmp_path / "models" / REPO, FILES)
    cache = ModelCache(tmp_path / "cache", places=[Place("folder", tmp_path / "models")])
    ensure(cache, origin, in_place=True)

    (folder / "model.safetensors").write_bytes(safetensors(b"trained since"))

    assert cache.find(REPO) is None
    with pytest.raises(CacheError, match="only called like"):
        cache.evict(REPO, owner="folder")
    assert (folder / "model.safetensors").read_bytes() == safetensors(b"trained since")


def test_a_folder_with_a_manifest_is_the_model_it_names(tmp_path: Path) -> None:
    make_cached(tmp_path / "old", "someone/Model", name="renamed")
    cache = ModelCache(tmp_path / "cache", places=[Place("folder", tmp_path / "old")])

    found = cache.find("someone/Model")

    assert found is not None
    assert not found.is_guessed


def test_in_our_cache_a_folder_somebody_made_is_not_taken_for_the_one_that_was_downloaded(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache")
    make_cached(cache.root, REPO)
    by_hand = make_plain(cache.root / REPO.replace("/", "--"), OWN_WORK)
    before = state_of(by_hand)

    cache.evict(REPO)

    assert state_of(by_hand) == before
    assert [model.folder for model in cache.list()] == [by_hand]


def test_of_several_folders_somebody_made_in_our_cache_none_goes(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache")
    for name in (REPO.replace("/", "--"), REPO.replace("/", "_")):
        make_plain(cache.root / name, OWN_WORK)
    before = state_of(cache.root)

    with pytest.raises(CacheError, match="2 folders may hold"):
        cache.evict(REPO)

    assert state_of(cache.root) == before
