"""Data sets over REST: listed apart from models, and named as a fine-tune's `data` names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.datasets import CachedDataset
from qwen3ft_jupyter.cache.models import CachedModel
from qwen3ft_jupyter.hubs.datasets import DatasetName
from qwen3ft_jupyter.hubs.names import RepoId
from tests.server.standin import cached_row

if TYPE_CHECKING:
    from tests.server.asking import Ask
    from tests.server.standin import StandInManager

NAME = "ms:org/talks:zh:test"


async def test_they_are_listed_by_the_names_that_data_has_for_them(ask: Ask, manager: StandInManager) -> None:
    kept = CachedModel(RepoId("org/talks"), "x", Path("/cache/x"), 1500, "qwen3ft", "modelscope", is_verified=True)
    manager.datasets = [CachedDataset(DatasetName(RepoId("org/talks"), "zh", "modelscope", "test"), kept)]

    answer = await ask("get", "/datasets/list")

    (row,) = answer.json["datasets"]
    assert (answer.code, row["name"], row["size"], row["verified"]) == (200, NAME, 1500, True)


async def test_the_hubs_are_asked_which_has_one(ask: Ask, manager: StandInManager) -> None:
    answer = await ask("get", "/datasets/find", query="name=org/talks:zh")

    assert (answer.code, answer.json) == (200, {"name": "hf:org/talks:zh", "size": 1500})
    assert manager.was_asked("find_dataset") == [("org/talks:zh",)]


async def test_one_is_deleted_pinned_and_checked_by_name(ask: Ask, manager: StandInManager) -> None:
    manager.cached = [{**cached_row(NAME), "size": 1500}]

    pinned = await ask("post", "/datasets/pin", query=f"name={NAME}")
    unpinned = await ask("delete", "/datasets/pin", query=f"name={NAME}")
    verified = await ask("post", "/datasets/verify", body=json.dumps({"name": NAME, "max_speed": 1000}))
    repaired = await ask("post", "/datasets/repair", query=f"name={NAME}")
    deleted = await ask("delete", "/datasets", query=f"name={NAME}&everything=true")

    assert (pinned.json, unpinned.json["pinned"]) == ({"name": NAME, "pinned": True}, False)
    assert (verified.code, verified.json["kind"], repaired.json["kind"]) == (202, "verify", "repair")
    assert deleted.json == {"evicted": [NAME], "freed": 1500, "kept": []}
    assert manager.was_asked("evict_model") == [(NAME, None, None, "everything")]
    assert manager.was_asked("start_verify") == [(NAME, None, 1000)]


async def test_a_model_is_not_deleted_as_a_data_set(ask: Ask, manager: StandInManager) -> None:
    answer = await ask("delete", "/datasets", query="name=Qwen/Qwen3-0.6B")

    assert (answer.code, answer.json["code"]) == (400, "bad-input")
    assert manager.was_asked("evict_model") == []
