from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache import ModelCache
from qwen3ft_jupyter.cache.layout import incoming_folder, is_half_evicted, mark_evicting
from qwen3ft_jupyter.cache.lease import Lease
from qwen3ft_jupyter.cache.manifest import manifest_path, read_manifest, write_manifest
from qwen3ft_jupyter.cache.quota import Holding, evictable, freed_bytes, held_bytes, replaced_bytes, to_evict
from qwen3ft_jupyter.cache.room import make_room
from qwen3ft_jupyter.disk import write_json
from qwen3ft_jupyter.errors import ModelInUse, NoSpace
from qwen3ft_jupyter.hubs.names import RepoId
from qwen3ft_jupyter.work import SILENT
from tests.cache.making import make_cached, make_plain, share_file
from tests.transfer.origin import Recorder

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.cache import CachedModel

NEW = RepoId("Qwen/Qwen3-32B")
NOW = 1_000_000.0
KB = 1000


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


def make(
    cache: ModelCache, name: str, size: int, *, last_used: float, pinned: bool = False, revision: str = "master"
) -> Path:
    folder = make_cached(cache.root, f"a/{name}", {"model.safetensors": name[:1].encode() * size}, pinned=pinned)
    manifest = read_manifest(folder)
    assert manifest is not None
    write_manifest(folder, replace(manifest, last_used=last_used, revision=revision))
    return folder


def holdings(cache: ModelCache) -> list[Holding]:
    return list(cache.holdings())


def chosen(cache: ModelCache, over: int, keep: RepoId | None = None) -> list[str]:
    return [model.repo_id for model in to_evict(holdings(cache), over, now=NOW, keep=keep)]


def names(cache: ModelCache) -> list[str]:
    return [model.repo_id for model in cache.list()]


def test_the_least_recently_used_goes_first(cache: ModelCache) -> None:
    make(cache, "new", 10 * KB, last_used=30)
    make(cache, "old", 10 * KB, last_used=10)
    make(cache, "mid", 10 * KB, last_used=20)

    assert chosen(cache, 1) == ["a/old"]
    assert chosen(cache, 10 * KB) == ["a/old"]
    assert chosen(cache, 10 * KB + 1) == ["a/old", "a/mid"]
    assert chosen(cache, 30 * KB) == ["a/old", "a/mid", "a/new"]


def test_nothing_is_chosen_when_everything_would_not_be_enough(cache: ModelCache) -> None:
    make(cache, "old", 10 * KB, last_used=10)

    assert chosen(cache, 10 * KB + 1) == []
    assert chosen(cache, 0) == []


def test_a_small_model_does_not_go_in_vain_when_a_large_one_has_to(cache: ModelCache) -> None:
    make(cache, "small", 1 * KB, last_used=10)
    make(cache, "large", 50 * KB, last_used=20)

    assert chosen(cache, 20 * KB) == ["a/large"]


def test_pinned_unverified_shared_used_and_kept_models_stay(cache: ModelCache, tmp_path: Path) -> None:
    cache = ModelCache(cache.root, [tmp_path / "shared"])
    make(cache, "pinned", 10 * KB, last_used=1, pinned=True)
    make(cache, "kept", 10 * KB, last_used=2)
    make(cache, "used", 10 * KB, last_used=3)
    make(cache, "free", 10 * KB, last_used=4)
    make_plain(cache.root / "b_plain")
    make_cached(tmp_path / "shared", "b/shared")

    found = cache.holdings(lambda repo_id: repo_id == "a/used")

    assert [model.repo_id for model in evictable(found, now=NOW, keep=RepoId("a/kept"))] == ["a/free"]


def test_a_question_that_raises_counts_as_use(cache: ModelCache) -> None:
    make(cache, "used", KB, last_used=1)

    def ask(repo_id: RepoId) -> bool:
        raise ModelInUse(f"{repo_id} is used by job 7.")

    assert [holding.is_in_use for holding in cache.holdings(ask)] == [True]


def test_a_time_of_use_in_the_future_protects_nothing_for_ever(cache: ModelCache) -> None:
    make(cache, "a_future", KB, last_used=NOW * 50)
    make(cache, "b_now", KB, last_used=NOW)

    assert chosen(cache, 1) == ["a/a_future"]


def test_what_two_models_share_is_freed_only_with_both(cache: ModelCache) -> None:
    first = make(cache, "first", 10 * KB, last_used=1)
    second = make(cache, "second", 10 * KB, last_used=2)
    link(first, second)
    held = holdings(cache)
    models: list[CachedModel] = [holding.model for holding in held]

    assert held_bytes(held) == 10 * KB
    assert [freed_bytes(held, [model]) for model in models] == [0, 0]
    assert freed_bytes(held, models) == 10 * KB
    assert chosen(cache, 5 * KB) == ["a/first", "a/second"]


def link(first: Path, second: Path) -> None:
    """Make the weights of two models one file, in their records too."""
    (second / "model.safetensors").unlink()
    (second / "model.safetensors").hardlink_to(first / "model.safetensors")
    manifest = read_manifest(first)
    other = read_manifest(second)
    assert manifest is not None
    assert other is not None
    write_manifest(second, replace(other, files=manifest.files))


def test_room_is_made_after_saying_so(cache: ModelCache) -> None:
    make(cache, "old", 10 * KB, last_used=864_000)
    make(cache, "new", 10 * KB, last_used=964_000)
    recorder = Recorder()

    evicted = make_room(cache, 5 * KB, quota_bytes=20 * KB, keep=NEW, reporter=recorder)

    assert [(model.repo_id, model.freed_bytes >= 10 * KB) for model in evicted] == [("a/old", True)]
    assert names(cache) == ["a/new"]
    (notice,) = recorder.notices
    assert "quota of 20.0 kB" in notice
    assert "a/old (10.0 kB, last used 1970-01-1" in notice


def test_no_room_is_made_where_there_is_enough(cache: ModelCache) -> None:
    make(cache, "old", 10 * KB, last_used=10)
    recorder = Recorder()

    assert make_room(cache, 10 * KB, quota_bytes=20 * KB, keep=NEW, reporter=recorder) == []
    assert recorder.notices == []


def test_what_cannot_fit_is_refused_and_nothing_goes(cache: ModelCache) -> None:
    make(cache, "old", 10 * KB, last_used=10)
    make(cache, "pinned", 10 * KB, last_used=1, pinned=True)

    with pytest.raises(NoSpace, match=r"quota of 20\.0 kB: 11\.0 kB \(11,000 bytes\) are missing") as caught:
        make_room(cache, 11 * KB, quota_bytes=20 * KB, keep=RepoId("a/old"))

    assert "MODEL_CACHE_QUOTA" in caught.value.hint
    assert len(cache.list()) == 2


def test_begun_downloads_count(cache: ModelCache) -> None:
    incoming = incoming_folder(cache.root, "a_b")
    incoming.mkdir(parents=True)
    (incoming / "x.part").write_bytes(b"x" * 8192)
    with (incoming / "sparse.part").open("wb") as file:
        file.truncate(1 << 30)

    assert cache.incoming_bytes() == 8192
    assert cache.used_bytes() == 8192


def test_another_goes_if_the_chosen_one_comes_into_use(cache: ModelCache) -> None:
    make(cache, "old", 10 * KB, last_used=10)
    make(cache, "new", 10 * KB, last_used=20)
    asked: list[str] = []

    def comes_into_use(repo_id: RepoId) -> bool:
        asked.append(repo_id)
        return repo_id == "a/old" and asked.count("a/old") > 1  # when it is marked

    evicted = make_room(cache, 0, quota_bytes=10 * KB, keep=NEW, is_used=comes_into_use)

    assert [model.repo_id for model in evicted] == ["a/new"]
    assert names(cache) == ["a/old"]


def test_a_model_that_is_always_taken_at_the_last_moment_ends_in_a_refusal(cache: ModelCache) -> None:
    folder = make(cache, "old", 10 * KB, last_used=10)
    asked: list[str] = []

    def flickers(repo_id: RepoId) -> bool:
        asked.append(repo_id)
        return len(asked) % 2 == 0

    with pytest.raises(NoSpace):
        make_room(cache, 0, quota_bytes=KB, keep=NEW, is_used=flickers)

    assert folder.exists()
    assert names(cache) == ["a/old"]


def test_a_model_being_downloaded_again_stays(cache: ModelCache) -> None:
    make(cache, "old", 10 * KB, last_used=10)
    incoming = incoming_folder(cache.root, "a_old")
    incoming.mkdir(parents=True)
    write_json(incoming / "lease.json", Lease(incoming, "a/old", SILENT, has_waited=False).to_dict())

    with pytest.raises(NoSpace):
        make_room(cache, 0, quota_bytes=KB, keep=NEW)

    assert names(cache) == ["a/old"]


def test_an_eviction_cut_short_is_finished_first(cache: ModelCache) -> None:
    make(cache, "whole", 10 * KB, last_used=10)
    rest = make(cache, "rest", 10 * KB, last_used=10)
    mark_evicting(rest, RepoId("a/rest"))
    manifest_path(rest).unlink()
    assert is_half_evicted(rest)

    assert make_room(cache, 0, quota_bytes=10 * KB, keep=NEW) == []

    assert not rest.exists()
    assert names(cache) == ["a/whole"]


def test_an_eviction_that_got_no_further_than_asking_is_left_alone(cache: ModelCache) -> None:
    """Whoever asks may be about to take its mark back."""
    asking = make(cache, "asking", 10 * KB, last_used=10)
    mark_evicting(asking, RepoId("a/asking"))

    cache.finish_evictions()

    assert manifest_path(asking).exists()


def test_what_somebody_else_evicts_at_the_same_moment_is_done_without(cache: ModelCache) -> None:
    make(cache, "old", 10 * KB, last_used=10)
    make(cache, "new", 10 * KB, last_used=20)

    class Faster(Recorder):
        def notice(self, message: str) -> None:
            super().notice(message)
            if cache.find("a/old") is not None:
                cache.evict("a/old")

    evicted = make_room(cache, 0, quota_bytes=10 * KB, keep=NEW, reporter=Faster())

    assert evicted == []
    assert names(cache) == ["a/new"]


def test_a_change_frees_only_what_no_other_revision_shares(cache: ModelCache) -> None:
    first = make_cached(cache.root, "a/b", {"one.safetensors": b"1" * KB, "two.safetensors": b"2" * KB})
    previous = read_manifest(first)
    assert previous is not None
    assert replaced_bytes(cache.holdings(), previous, {"two.safetensors"}) == KB

    second = make_cached(cache.root, "a/b", {"one.safetensors": b"1" * KB}, name="a_b@v1")
    share_file(first, second, "one.safetensors")

    assert replaced_bytes(cache.holdings(), read_manifest(first), {"two.safetensors"}) == 0
    assert replaced_bytes(cache.holdings(), None, ()) == 0
