"""The routes before the real manager and a real job process: what it answers is what `openapi.yaml` promises."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.jobs.store import JobStore
from qwen3ft_jupyter.manager import get_model_manager
from tests.cache.making import make_cached, make_plain
from tests.jobs.following import WORKER, start, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.manager import ModelManager
    from tests.server.asking import Ask


@pytest.fixture
def manager(tmp_path: Path) -> ModelManager:
    """In place of the stand-in: the real one, which may open no connection."""
    make_plain(tmp_path / "cache" / "me_mine")
    return get_model_manager(
        cache_dir=tmp_path / "cache", shared_dirs=[tmp_path / "team"], state_dir=tmp_path / "state", offline=True
    )


@pytest.mark.parametrize("path", ["/status", "/models", "/models/cache/list", "/jobs"])
async def test_what_there_is_is_answered_as_promised(ask: Ask, path: str) -> None:
    answer = await ask("get", path)

    assert answer.code == 200


async def test_a_data_set_that_is_here_is_no_job(ask: Ask, manager: ModelManager, tmp_path: Path) -> None:
    folder = make_cached(tmp_path / "cache/.datasets/huggingface/zh", "org/talks", {"a.jsonl": b"{}"})
    name = "hf:org/talks:zh"

    here = await ask("post", "/models/download", query="model_name=HF:org/talks:zh")
    refused = [
        await ask("post", "/models/download", query=f"model_name={name}&{wish}") for wish in ("revision=v1", "force=1")
    ]
    (folder / "a.jsonl").unlink()
    damaged = await ask("post", "/models/download", query=f"model_name={name}")
    await asyncio.to_thread(manager.job(damaged.json["id"]).wait, 60)

    assert (here.code, here.json["status"], here.json["model_name"]) == (200, "cached", name)
    assert [(each.code, each.json["code"]) for each in refused] == [(400, "bad-input")] * 2
    assert damaged.code == 202


async def test_the_event_loop_opens_no_file(ask: Ask, manager: ModelManager, tmp_path: Path) -> None:
    """A drive that hangs would otherwise stop every notebook of the server."""
    make_cached(tmp_path / "cache", "acme/Tiny-1")
    await ask("get", "/models")  # builds the manager
    on_disk = {"open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename", "shutil.rmtree"}
    loop_thread, opened, is_listening = threading.get_ident(), list[object](), True

    def listen(event: str, arguments: tuple[object, ...]) -> None:
        if is_listening and event in on_disk and threading.get_ident() == loop_thread:
            opened.append(arguments[0])

    sys.addaudithook(listen)  # which cannot be taken away again
    for path in ("/status", "/models", "/models/cache/list", "/jobs"):
        await ask("get", path)
    started = await ask("post", "/models/cache/acme_Tiny-1/verify")
    path = f"/jobs/{started.json['id']}"
    for part in ("", "/metrics", "/log"):
        await ask("get", path + part)
    await ask("post", f"{path}/stop")
    await ask("post", "/models/cache/acme_Tiny-1/pin")
    is_listening = False
    await asyncio.to_thread(manager.job(started.json["id"]).wait, 60)

    assert opened == []


async def test_a_wrong_name_is_refused_before_anything_starts(ask: Ask, manager: ModelManager) -> None:
    malformed = await ask("post", "/models/download", query="model_name=../etc")
    unpublished = await ask("post", "/models/download", query="model_name=Qwen/Qwen3-7B-Instruct")

    assert (malformed.code, malformed.json["code"]) == (400, "bad-name")
    assert (unpublished.code, unpublished.json["code"]) == (404, "unknown-model")
    assert manager.jobs() == []


@pytest.mark.parametrize("dry_run", ["", "&dry_run=true"])
@pytest.mark.parametrize(
    "revision", ["../../etc/passwd", "C:%5Cx", ".git/hooks/x", "a%20b", "a..b", "x" * 300, "-x", "a:b", "@", "a.lock"]
)
async def test_what_no_revision_can_be_called_is_refused_before_anything_starts(
    ask: Ask, manager: ModelManager, tmp_path: Path, revision: str, dry_run: str
) -> None:
    make_cached(tmp_path / "cache", "acme/Tiny-1")
    for name in ("acme/Tiny-1", "acme/Other"):
        answer = await ask("post", "/models/download", query=f"model_name={name}&revision={revision}{dry_run}")

        assert (answer.code, answer.json["code"]) == (400, "bad-input")
        assert answer.json["hint"]
    assert manager.jobs() == []


@pytest.mark.parametrize(
    "spelled", ["acme/Tiny-1", "acme/Tiny-1/", "https://huggingface.co/acme/Tiny-1", "modelscope.cn/models/acme/Tiny-1"]
)
async def test_a_cached_model_is_found_by_the_address_of_its_page(ask: Ask, tmp_path: Path, spelled: str) -> None:
    make_cached(tmp_path / "cache", "acme/Tiny-1")

    answer = await ask("post", "/models/download", query=f"model_name={spelled}")

    assert (answer.code, answer.json["status"]) == (200, "cached")


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


async def test_a_real_job_is_paused_slowed_down_resumed_and_stopped(ask: Ask, tmp_path: Path) -> None:
    job = start(
        JobStore(tmp_path / "state", worker=WORKER),
        "obey",
        {"keep": str(tmp_path / "number")},
        title="Obey",
        max_speed=None,
    )

    def last_order() -> dict[str, float]:
        orders = [event["values"] for event in job.events() if event["type"] == "metrics"]
        return orders[-1] if orders else {}

    paused = await ask("post", f"/jobs/{job.id}/pause")
    await asyncio.to_thread(wait_until, lambda: last_order() == {"paused": 1.0, "max_speed": 0.0})
    limited = await ask("post", f"/jobs/{job.id}/limit", query="max_speed=7")
    resumed = await ask("post", f"/jobs/{job.id}/resume")
    await asyncio.to_thread(wait_until, lambda: last_order() == {"paused": 0.0, "max_speed": 7.0})
    stopped = await ask("post", f"/jobs/{job.id}/stop")
    await asyncio.to_thread(job.wait, 120)
    late = await ask("post", f"/jobs/{job.id}/pause")

    assert paused.json["controls"] == {"paused": True, "max_speed": None}
    assert limited.json["controls"] == {"paused": True, "max_speed": 7}
    assert (resumed.code, resumed.json["controls"]) == (202, {"paused": False, "max_speed": 7})
    assert stopped.json["state"] == "stopping"
    assert (late.code, late.json["code"]) == (409, "wrong-job-state")


async def test_a_folder_copied_by_hand_is_listed_and_deleted_by_its_slug(
    ask: Ask, manager: ModelManager, tmp_path: Path
) -> None:
    listed = await ask("get", "/models/cache/list")
    names: list[Any] = [model["slug"] for model in listed.json["models"]]
    assert names == ["me_mine"]

    deleted = await ask("delete", "/models/cache/me_mine")

    assert deleted.json["evicted"] == ["me_mine"]
    assert not (tmp_path / "cache" / "me_mine").exists()


async def test_a_slug_means_one_folder_though_two_hold_the_same_model(ask: Ask, tmp_path: Path) -> None:
    mine = make_plain(tmp_path / "cache" / "acme_Tiny-1")
    other = make_plain(tmp_path / "cache" / "acme--Tiny-1")

    deleted = await ask("delete", "/models/cache/acme--Tiny-1")

    assert deleted.json["evicted"] == ["acme--Tiny-1"]
    assert deleted.json["freed"] > 0
    assert (mine.exists(), other.exists()) == (True, False)


async def test_all_answers_with_the_folders_that_went(ask: Ask, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    gone = [make_cached(cache, "acme/Tiny-1"), make_cached(cache, "acme/Tiny-1", name="another")]
    kept = [make_cached(cache, "acme/Tiny-2", pinned=True), cache / "me_mine"]

    deleted = await ask("delete", "/models/cache/all")

    assert sorted(deleted.json["evicted"]) == ["acme_Tiny-1", "another"]
    assert [folder.exists() for folder in (*gone, *kept)] == [False, False, True, True]


async def test_a_shared_model_is_not_deleted_and_the_refusal_says_why(ask: Ask, tmp_path: Path) -> None:
    shared = make_cached(tmp_path / "team", "acme/Tiny-3")

    refused = await ask("delete", "/models/cache/acme_Tiny-3")

    assert (refused.code, refused.json["code"]) == (409, "cache-not-writable")
    assert "shared" in refused.json["message"]
    assert shared.exists()


async def test_the_practice_model_is_had_by_an_install_without_torch(
    ask: Ask, manager: ModelManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an install without the train extra: the job's Python finds none of its packages."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "sitecustomize.py").write_text(
        "import sys\n"
        "for name in ('accelerate', 'peft', 'safetensors', 'tokenizers', 'torch', 'transformers'):\n"
        "    sys.modules[name] = None\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "base"))

    started = await ask("post", "/models/download", query="model_name=qwen3ft/Qwen3-Practice")
    await asyncio.to_thread(manager.job(started.json["id"]).wait, 60)
    ended = await ask("get", f"/jobs/{started.json['id']}")

    assert (started.code, ended.json["state"]) == (202, "succeeded")
    assert ended.json["result"]["verified"] is True


async def test_a_copy_that_the_file_browser_does_not_show_is_not_named_for_it(ask: Ask) -> None:
    answer = await ask("get", "/models/cache/list")

    assert [model["browser_path"] for model in answer.json["models"]] == [None]


class TestBelowJupytersRoot:
    """Where the cache lies in what the file browser shows."""

    @pytest.fixture
    def manager(self, jp_root_dir: Path, tmp_path: Path) -> ModelManager:
        make_plain(jp_root_dir / "models" / "me_mine")
        return get_model_manager(cache_dir=jp_root_dir / "models", state_dir=tmp_path / "state", offline=True)

    async def test_a_copy_is_named_as_the_file_browser_names_it(self, ask: Ask) -> None:
        answer = await ask("get", "/models/cache/list")

        assert [model["browser_path"] for model in answer.json["models"]] == ["models/me_mine"]


async def test_the_cache_moves_as_a_job_once_its_plan_was_shown(
    ask: Ask, manager: ModelManager, tmp_path: Path
) -> None:
    make_cached(tmp_path / "cache", "acme/Tiny-1")
    target = tmp_path / "there"

    plan = await ask("post", "/models/cache/move", body=json.dumps({"folder": str(target), "dry_run": True}))
    assert not target.exists()
    started = await ask("post", "/models/cache/move", body=json.dumps({"folder": str(target)}))
    ended = await asyncio.to_thread(manager.job(started.json["id"]).wait, 60)
    told = await ask("get", f"/jobs/{started.json['id']}")

    assert (plan.json["folders"], plan.json["bytes_to_copy"]) == (["acme_Tiny-1", "me_mine"], 0)
    assert ended.state == "succeeded"
    assert told.json["title"] == "Move the cache → there"
    assert told.json["result"]["moved"] == ["acme_Tiny-1", "me_mine"]
    assert sorted(path.name for path in target.iterdir()) == ["acme_Tiny-1", "me_mine"]


async def test_a_move_that_cannot_go_well_is_refused_before_a_job_begins(
    ask: Ask, manager: ModelManager, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    into_itself = await ask("post", "/models/cache/move", body=json.dumps({"folder": str(tmp_path / "cache/below")}))
    no_folder = await ask("post", "/models/cache/move", body=json.dumps({"folder": str(tmp_path / "file")}))

    assert (into_itself.code, into_itself.json["code"]) == (400, "bad-input")
    assert (no_folder.code, no_folder.json["code"]) == (409, "cache-not-writable")
    assert str(tmp_path).encode() not in into_itself.body + no_folder.body
    assert manager.jobs() == []
