from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.layout import incoming_folder
from qwen3ft_jupyter.cache.own.manifest import manifest_path, mark_evicting, read_manifest, write_manifest
from qwen3ft_jupyter.cache.quota import Holding, evictable, freed_bytes, held_bytes, replaced_bytes, to_evict
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import ModelInUse
from qwen3ft_jupyter.hubs.names import RepoId
from tests.cache.making import make_cached, make_plain, share_file

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.cache.models import CachedModel

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


def test_begun_downloads_count(cache: ModelCache) -> None:
    incoming = incoming_folder(cache.root, "a_b")
    incoming.mkdir(parents=True)
    (incoming / "x.part").write_bytes(b"x" * 8192)
    with (incoming / "sparse.part").open("wb") as file:
        file.truncate(1 << 30)

    assert cache.incoming_bytes() == 8192
    assert cache.used_bytes() == 8192


def test_an_eviction_that_got_no_further_than_asking_is_left_alone(cache: ModelCache) -> None:
    """Whoever asks may be about to take its mark back."""
    asking = make(cache, "asking", 10 * KB, last_used=10)
    mark_evicting(asking, RepoId("a/asking"))

    cache.finish_evictions()

    assert manifest_path(asking).exists()


def test_a_change_frees_only_what_no_other_revision_shares(cache: ModelCache) -> None:
    first = make_cached(cache.root, "a/b", {"one.safetensors": b"1" * KB, "two.safetensors": b"2" * KB})
    previous = read_manifest(first)
    assert previous is not None
    assert replaced_bytes(cache.holdings(), previous, {"two.safetensors"}) == KB

    second = make_cached(cache.root, "a/b", {"one.safetensors": b"1" * KB}, name="a_b@v1")
    share_file(first, second, "one.safetensors")

    assert replaced_bytes(cache.holdings(), read_manifest(first), {"two.safetensors"}) == 0
    assert replaced_bytes(cache.holdings(), None, ()) == 0
