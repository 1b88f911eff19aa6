"""The routes before the real manager and a real job process: what it answers is what `openapi.yaml` promises."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.manager import get_model_manager

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.manager import ModelManager
    from tests.server.asking import Ask


@pytest.fixture
def manager(tmp_path: Path) -> ModelManager:
    """In place of the stand-in: the real one, which may open no connection."""
    model = tmp_path / "cache" / "me_mine"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    return get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state", offline=True)


@pytest.mark.parametrize("path", ["/status", "/models", "/models/cache/list", "/jobs"])
async def test_what_there_is_is_answered_as_promised(ask: Ask, path: str) -> None:
    answer = await ask("get", path)

    assert answer.code == 200


async def test_a_wrong_name_is_refused_before_anything_starts(ask: Ask, manager: ModelManager) -> None:
    malformed = await ask("post", "/models/download", query="model_name=../etc")
    unpublished = await ask("post", "/models/download", query="model_name=Qwen/Qwen3-7B-Instruct")

    assert (malformed.code, malformed.json["code"]) == (400, "bad-name")
    assert (unpublished.code, unpublished.json["code"]) == (404, "unknown-model")
    assert manager.jobs() == []


async def test_a_download_runs_fails_is_read_and_forgotten(ask: Ask, manager: ModelManager) -> None:
    started = await ask("post", "/models/download", query="model_name=Qwen/Qwen3-0.6B")
    path = f"/jobs/{started.json['id']}"
    await asyncio.to_thread(manager.job(started.json["id"]).wait, 60)

    ended = await ask("get", path)
    log = await ask("get", f"{path}/log")
    forgotten = await ask("delete", path)

    assert (started.code, ended.json["state"]) == (202, "failed")
    assert ended.json["error"]["hint"]
    assert (log.code, forgotten.code) == (200, 204)
    assert manager.jobs() == []


async def test_a_folder_copied_by_hand_is_listed_and_deleted_by_its_slug(
    ask: Ask, manager: ModelManager, tmp_path: Path
) -> None:
    listed = await ask("get", "/models/cache/list")
    names: list[Any] = [model["slug"] for model in listed.json["models"]]
    assert names == ["me_mine"]

    deleted = await ask("delete", "/models/cache/me_mine")

    assert deleted.json["evicted"] == ["me_mine"]
    assert not (tmp_path / "cache" / "me_mine").exists()
