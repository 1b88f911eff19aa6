"""Room for a plan is made by evicting what it names, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.own.evict import InUse, nobody_uses
from qwen3ft_jupyter.cache.own.layout import incoming_folder
from qwen3ft_jupyter.cache.own.lease import Lease
from qwen3ft_jupyter.cache.own.manifest import is_half_evicted, manifest_path, mark_evicting
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.disk import write_json
from qwen3ft_jupyter.download import room
from qwen3ft_jupyter.download.plan import DownloadPlan, make_plan
from qwen3ft_jupyter.download.request import DownloadRequest
from qwen3ft_jupyter.download.survey import Found
from qwen3ft_jupyter.errors import NoSpace
from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile
from qwen3ft_jupyter.hubs.names import RepoId, SafePath, Sha256
from qwen3ft_jupyter.work import SILENT, Reporter, Work
from tests.cache.test_quota import KB, NEW, make, names
from tests.transfer.origin import COMMIT, Recorder

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.download.room import Volume


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache")


def make_room(
    cache: ModelCache,
    growth: int,
    *,
    quota_bytes: int,
    keep: RepoId,
    is_used: InUse = nobody_uses,
    reporter: Reporter = SILENT,
) -> list[str]:
    """Make room for one file of `growth` bytes that has to be fetched; return what went."""
    wanted = (RemoteFile(SafePath("new.safetensors"), growth, Sha256("e" * 64)),)
    listing = Listing(keep, "modelscope", "master", COMMIT, wanted)

    def plan_within(volume: Volume) -> DownloadPlan:
        return make_plan(DownloadRequest(keep), listing, cache.root / "new", Found(wanted), volume)

    plan, evicted = room.make_room(cache, plan_within, quota_bytes=quota_bytes, is_used=is_used, work=Work(reporter))
    assert not plan.evictions
    assert plan.has_room
    return evicted


def test_room_is_made_after_saying_so(cache: ModelCache) -> None:
    make(cache, "old", 10 * KB, last_used=864_000)
    make(cache, "new", 10 * KB, last_used=964_000)
    recorder = Recorder()

    evicted = make_room(cache, 5 * KB, quota_bytes=20 * KB, keep=NEW, reporter=recorder)

    assert evicted == ["a/old"]
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


def test_another_goes_if_the_chosen_one_comes_into_use(cache: ModelCache) -> None:
    make(cache, "old", 10 * KB, last_used=10)
    make(cache, "new", 10 * KB, last_used=20)
    asked: list[str] = []

    def comes_into_use(repo_id: RepoId) -> bool:
        asked.append(repo_id)
        return repo_id == "a/old" and asked.count("a/old") > 1  # when it is marked

    evicted = make_room(cache, 0, quota_bytes=10 * KB, keep=NEW, is_used=comes_into_use)

    assert evicted == ["a/new"]
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
