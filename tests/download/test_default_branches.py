"""`main` and `master` mean the default branch of either hub: online, cached, offline, in a shared cache, over REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.download.request import DownloadRequest
from qwen3ft_jupyter.errors import NotCached
from tests.download.asking import ensure_model, plan_model
from tests.faults.loopback import Stage
from tests.transfer.origin import REPO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.download.apply import Ensured

NAMES = ["main", "master"]


@pytest.fixture(params=["modelscope", "huggingface"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, request.param) as stage:
        if request.param == "huggingface":
            stage.at_listing = lambda seen, _count: (
                None if seen.path.endswith(("/main", f"/{'c' * 40}")) or "/tree/" in seen.path else _no_revision()
            )
        yield stage


def _no_revision() -> Any:
    from tests.servers import json_reply

    return json_reply({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})


def ensure(stage: Stage, cache: ModelCache, **options: Any) -> Ensured:
    return ensure_model(cache, {stage.protocol: stage.make_hub()}, REPO, order=[stage.protocol], **options)


@pytest.mark.parametrize("first", [*NAMES, None])
@pytest.mark.parametrize("second", [*NAMES, None])
def test_a_model_is_downloaded_by_one_name_and_found_by_the_other(
    stage: Stage, first: str | None, second: str | None
) -> None:
    fresh = ensure(stage, stage.cache, revision=first)
    again = ensure(stage, stage.cache, revision=second)
    offline = ensure(stage, stage.cache, revision=second, offline=True)

    assert (fresh.was_cached, again.was_cached, offline.was_cached) == (False, True, True)
    assert fresh.model.folder == again.model.folder == offline.model.folder
    assert fresh.model.revision == ("master" if stage.protocol == "modelscope" else "main")
    assert len(stage.cache.list()) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_shared_cache_has_it_by_either_name(stage: Stage, tmp_path: Path, name: str) -> None:
    ensure(stage, stage.cache)
    layered = ModelCache(tmp_path / "cache" / "mine", [tmp_path / "cache"])

    found = ensure(stage, layered, revision=name, offline=True)

    assert found.was_cached
    assert found.model.owner == "shared"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_done_with_a_cached_model_takes_either_name(stage: Stage, name: str) -> None:
    ensure(stage, stage.cache)

    assert stage.cache.verify(REPO, name).is_ok
    stage.cache.pin(REPO, pinned=True, revision=name)
    stage.cache.pin(REPO, pinned=False, revision=name)
    assert ensure(stage, stage.cache, revision=name, update=True).was_cached
    assert stage.cache.evict(REPO, revision=name) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_takes_either_name(stage: Stage, name: str) -> None:
    plan = plan_model(stage.cache, {stage.protocol: stage.make_hub()}, REPO, order=[stage.protocol], revision=name)

    assert plan.bytes_to_fetch == sum(map(len, stage.files.values()))


def test_another_branch_is_not_meant(stage: Stage) -> None:
    ensure(stage, stage.cache)

    for name in ("develop", "Main", "trunk"):
        with pytest.raises(NotCached):
            ensure(stage, stage.cache, revision=name, offline=True)


def test_two_requests_that_mean_the_same_are_still_two_texts() -> None:
    """What a job is asked for stays as it was written; what is cached decides what it means."""
    assert DownloadRequest.of(REPO, revision="main").revision == "main"
