"""What the manager does with models on disk: plans, revisions, repair, quota, sources, moving; real hubs, real jobs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from qwen3ft_jupyter.errors import BadInput, CacheError, ModelInUse, NoSpace, NotCached
from qwen3ft_jupyter.mirror.mirror import Mirror
from tests.cache.making import make_cached, make_plain
from tests.test_manager import REPO, SLUG, Ear, make_manager, mirror, repo, stop_all, waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager

    Make = Callable[..., ModelManager]

__all__ = ["make_manager", "mirror", "repo"]  # fixtures

OTHER = "acme/Other-1"
WEIGHTS = 3_000_000


@pytest.fixture
def two(tmp_path: Path, repo: Path) -> Any:
    """Serve a second repo beside the first."""
    other = tmp_path / "hub" / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    (other / "model.safetensors").write_bytes(os.urandom(WEIGHTS))
    with Mirror({REPO: repo, OTHER: other}) as served:
        yield served


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_plan_says_what_a_download_would_do_and_does_nothing(make_manager: Make, mirror: Mirror) -> None:
    manager = make_manager(mirror.url)

    plan = manager.plan(REPO).to_dict()

    assert plan["bytes_to_fetch"] > WEIGHTS
    assert plan["has_room"]
    assert {file["action"] for file in plan["files"]} == {"fetched"}
    assert manager.list_cached_models() == []

    manager.ensure_model_cached(REPO)
    plan = manager.plan(REPO).to_dict()
    assert plan["bytes_to_fetch"] == 0
    assert {file["action"] for file in plan["files"]} == {"kept"}


def test_offline_there_is_no_plan(make_manager: Make) -> None:
    with pytest.raises(NotCached, match="network is switched off"):
        make_manager(offline=True).plan(REPO)


def test_a_mirror_supplies_bytes_and_is_named(make_manager: Make, mirror: Mirror, repo: Path) -> None:
    with Mirror({REPO: repo}) as team:
        address = team.url.removeprefix("http://")
        manager = make_manager(mirror.url, mirrors=[team.url])

        ensured = manager.ensure(REPO, sources=["mirrors"])

    (name,) = ensured.shares
    assert name == f"mirror {address}"
    assert ensured.shares[name] > WEIGHTS


def test_a_source_that_is_none_is_refused_before_a_job_starts(make_manager: Make) -> None:
    manager = make_manager()
    with pytest.raises(BadInput, match="floppy"):
        manager.download(REPO, sources=["floppy"])
    assert manager.jobs() == []


def test_an_update_fetches_what_has_changed(make_manager: Make, mirror: Mirror, repo: Path) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)
    (repo / "config.json").write_text("{}")

    assert manager.ensure(REPO).was_cached
    updated = manager.ensure(REPO, update=True)

    assert not updated.was_cached
    assert updated.bytes_fetched == 2


def test_another_tool_s_model_is_listed_with_its_owner_and_evicted_only_by_name(
    make_manager: Make, mirror: Mirror, tmp_path: Path, repo: Path
) -> None:
    theirs = tmp_path / "models" / "acme" / "Tiny-1"
    theirs.mkdir(parents=True)
    for file in repo.iterdir():
        (theirs / file.name).write_bytes(file.read_bytes())
    manager = make_manager(mirror.url, other_dirs=[tmp_path / "models"])
    assert [(model["model_name"], model["owner"]) for model in manager.list_cached_models()] == [(REPO, "folder")]

    assert manager.ensure(REPO).bytes_fetched == 0

    assert manager.evict_model(REPO) > WEIGHTS
    assert theirs.is_dir()
    with pytest.raises(CacheError, match="only called like"):
        manager.evict_model(REPO, owner="folder")
    assert manager.evict_model(str(theirs), owner="folder") > WEIGHTS
    assert not (theirs / "model.safetensors").exists()


def test_a_repair_fetches_what_is_wrong(make_manager: Make, mirror: Mirror, tmp_path: Path, repo: Path) -> None:
    manager = make_manager(mirror.url)
    weights = tmp_path / "cache" / SLUG / "model.safetensors"
    manager.ensure_model_cached(REPO)
    damage(weights)
    assert manager.verify(REPO).wrong == ("model.safetensors",)

    report = manager.repair(REPO)

    assert report.repaired == ("model.safetensors",)
    assert weights.read_bytes() == (repo / "model.safetensors").read_bytes()
    assert manager.repair(REPO).repaired == ()


def test_a_repair_is_a_job_about_the_revision_that_was_named(
    make_manager: Make, mirror: Mirror, tmp_path: Path, repo: Path
) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)
    first = manager.list_cached_models()[0]["commit"]
    (repo / "model.safetensors").write_bytes(os.urandom(WEIGHTS))
    manager.ensure_model_cached(REPO, revision=manager.plan(REPO, update=True).commit)
    slugs = {model["commit"]: model["slug"] for model in manager.list_cached_models()}
    assert len(slugs) == 2
    damage(tmp_path / "cache" / slugs[first] / "config.json")

    name, revision = manager.by_slug(slugs[first])
    checked = manager.start_verify(name, revision=revision).wait(120)

    assert (name, revision) == (REPO, first)
    assert checked.result is not None
    assert checked.result["wrong"] == ["config.json"]
    with pytest.raises(NotCached, match="not in the cache at revision v9"):
        manager.start_repair(REPO, revision="v9")


def test_a_pin_is_of_one_revision(make_manager: Make, mirror: Mirror, repo: Path) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)
    first = manager.list_cached_models()[0]["commit"]
    (repo / "config.json").write_text("{}")
    manager.ensure_model_cached(REPO, revision=manager.plan(REPO, update=True).commit)

    manager.pin(REPO, revision=first)

    assert {model["commit"]: model["pinned"] for model in manager.list_cached_models()}[first]
    assert sum(model["pinned"] for model in manager.list_cached_models()) == 1


def test_the_summary_tells_how_full_the_cache_is(make_manager: Make, mirror: Mirror) -> None:
    manager = make_manager(mirror.url, quota="1GB")
    manager.ensure_model_cached(REPO)

    summary = manager.cache_summary()

    assert (summary["total"], summary["quota"], summary["incoming"]) == (1, 10**9, 0)
    assert summary["used"] == summary["total_size"] > WEIGHTS
    assert (summary["free"] or 0) > 0


def test_a_quota_lets_the_model_go_that_was_used_longest_ago(make_manager: Make, two: Mirror) -> None:
    manager = make_manager(two.url, quota="5MB")
    manager.ensure_model_cached(OTHER)
    ear = Ear()

    manager.ensure_model_cached(REPO, reporter=ear)

    assert [model["model_name"] for model in manager.list_cached_models()] == [REPO]
    assert any(OTHER in notice for notice in ear.notices)


def test_a_quota_never_takes_a_model_that_a_job_uses(make_manager: Make, two: Mirror) -> None:
    manager = waiting(make_manager(two.url, quota="5MB"))
    manager.ensure_model_cached(OTHER)
    manager.download(OTHER, force=True)
    try:
        with pytest.raises(NoSpace, match="quota"):
            manager.ensure_model_cached(REPO)
    finally:
        stop_all(manager)

    assert [model["model_name"] for model in manager.list_cached_models()] == [OTHER]


def test_a_plan_and_each_deletion_read_the_list_of_jobs_once(
    make_manager: Make, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = make_manager(mirror.url, quota=10**9)
    folders = [make_cached(manager.settings.cache_dir, f"acme/Small-{number}") for number in range(5)]
    list_jobs = mock.Mock(wraps=manager.job_store.read_all)
    monkeypatch.setattr(manager.job_store, "read_all", list_jobs)

    manager.plan(REPO)
    assert list_jobs.call_count == 1

    manager.evict_all()
    assert list_jobs.call_count == 1 + 1 + len(folders)


def test_the_cache_moves_as_a_whole(make_manager: Make, mirror: Mirror, tmp_path: Path) -> None:
    make_manager(mirror.url).ensure_model_cached(REPO)

    report = make_manager(mirror.url).move_cache(tmp_path / "there")

    assert report.moved
    moved = make_manager(cache_dir=tmp_path / "there")
    assert moved.ensure(REPO).was_cached
    assert moved.verify(REPO).is_ok
    assert make_manager().list_cached_models() == []


def test_a_cache_that_a_job_works_on_does_not_move(make_manager: Make, mirror: Mirror, tmp_path: Path) -> None:
    manager = waiting(make_manager(mirror.url))
    job = manager.download(REPO)
    try:
        with pytest.raises(ModelInUse, match=job.id):
            manager.move_cache(tmp_path / "there")
    finally:
        stop_all(manager)


def test_a_move_is_a_job_that_keeps_all_others_off(make_manager: Make, mirror: Mirror, tmp_path: Path) -> None:
    make_manager(mirror.url).ensure_model_cached(REPO)
    manager = waiting(make_manager())
    job = manager.start_move(tmp_path / "there")
    try:
        for again in (manager.move_cache, manager.start_move, manager.plan_move):
            with pytest.raises(ModelInUse, match=job.id):
                again(tmp_path / "there")
    finally:
        stop_all(manager)

    job = make_manager().start_move(tmp_path / "there")

    assert job.wait(120).state == "succeeded"
    assert make_manager(cache_dir=tmp_path / "there").verify(REPO).is_ok
    assert make_manager().list_cached_models() == []


def test_a_plan_of_a_move_says_who_says_where_the_cache_is(make_manager: Make, mirror: Mirror, tmp_path: Path) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)

    plan = manager.plan_move(tmp_path / "there")

    assert plan.origin == manager.settings.origins["cache_dir"] == "argument"
    assert plan.folders == (SLUG,)
    assert plan.size_bytes > WEIGHTS
    assert not (tmp_path / "there").exists()


def test_where_a_model_lies_is_told_of_each_copy(make_manager: Make, mirror: Mirror, tmp_path: Path) -> None:
    theirs = make_plain(tmp_path / "other" / "acme" / "Other-1")
    manager = make_manager(mirror.url, other_dirs=[tmp_path / "other"])
    with pytest.raises(NotCached, match="not on this disk"):
        manager.where(REPO)
    manager.ensure_model_cached(REPO)

    assert manager.where(REPO) == manager.settings.cache_dir / SLUG
    assert manager.where(OTHER, owner="folder") == theirs
    with pytest.raises(NotCached):
        manager.where(REPO, revision="v9")
    with pytest.raises(NotCached):
        manager.where(REPO, owner="huggingface")


def test_where_a_data_set_lies_is_told_by_its_name(make_manager: Make) -> None:
    manager = make_manager()
    folder = make_cached(manager.settings.cache_dir / ".datasets/huggingface/zh", "org/talks", {"a.jsonl": b"{}"})

    assert manager.where("hf:org/talks:zh") == folder


def speed_of(job: Job) -> float | None:
    controls = job.to_dict()["controls"]
    assert controls is not None
    return controls["max_speed"]


def test_a_speed_that_is_set_is_for_downloads_and_not_for_reading(make_manager: Make, mirror: Mirror) -> None:
    manager = make_manager(mirror.url, max_speed="20MB")
    manager.ensure_model_cached(REPO)
    waiting(manager)
    try:
        speeds = {
            job.kind: speed_of(job)
            for job in (manager.download(REPO, force=True), manager.start_verify(REPO), manager.start_repair(REPO))
        }
    finally:
        stop_all(manager)

    assert speeds == {"download": 20_000_000, "verify": None, "repair": None}


def test_joining_a_download_changes_its_speed(make_manager: Make) -> None:
    manager = waiting(make_manager())
    try:
        first = manager.download(REPO, max_speed=1_000_000)
        assert speed_of(manager.download(REPO)) == 1_000_000
        joined = manager.download(REPO, max_speed=5_000_000)
        assert (joined.id, speed_of(joined)) == (first.id, 5_000_000)
    finally:
        stop_all(manager)


def test_of_two_revisions_at_one_commit_a_slug_names_its_own(
    make_manager: Make, mirror: Mirror, tmp_path: Path, repo: Path
) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)
    (repo / "model.safetensors").write_bytes(os.urandom(WEIGHTS))
    beside = manager.ensure(REPO, revision="main").model
    manager.ensure_model_cached(REPO, update=True)
    assert len({model["commit"] for model in manager.list_cached_models()}) == 1

    name, revision = manager.by_slug(beside.slug)
    manager.pin(name, revision=revision)
    (beside.folder / "config.json").unlink()
    report = manager.repair(name, revision=revision)

    assert {model["slug"]: model["pinned"] for model in manager.list_cached_models()} == {
        SLUG: False,
        beside.slug: True,
    }
    assert report.repaired == ("config.json",)
    assert (beside.folder / "config.json").exists()
    assert manager.by_slug(SLUG)[1] == beside.commit
