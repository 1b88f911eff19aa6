"""Browsers hear of changes, whoever made them, not too often, and only while the server lives."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.jobs.store import JobStore
from qwen3ft_jupyter.server.access import ManagerAccess
from qwen3ft_jupyter.server.events import (
    SCHEMA_ID,
    Change,
    ChangeWatcher,
    JobMark,
    JobNews,
    Snapshot,
    cache_changes,
    look,
)
from tests.jobs.following import start
from tests.server.standin import DONE, HALFWAY, NAME, QUEUED, SLUG, StandInJob

if TYPE_CHECKING:
    import pytest

    from qwen3ft_jupyter.server.app import Qwen3FTApp
    from tests.server.asking import Ask
    from tests.server.standin import StandInManager

RUNNING = JobMark("running", 1, 1.0, is_active=True)
LIMIT_S = 120.0


async def next_change(socket: Any, *wanted: str) -> dict[str, Any]:
    """Read the socket until one of ours comes that has `wanted` among its values."""
    while True:
        text = await asyncio.wait_for(socket.read_message(), LIMIT_S)
        assert text is not None, "the socket was closed"
        event: dict[str, Any] = json.loads(text)
        if event["schema_id"] == SCHEMA_ID and set(wanted) <= {event["subject"], event["id"], event["state"]}:
            return event


# what is news, without a clock


def test_a_new_state_is_told_at_once_and_progress_once_a_second() -> None:
    news = JobNews()

    assert news.changes({"a": RUNNING}, 0.0) == [Change("job", "a", "running")]
    assert news.changes({"a": replace(RUNNING, updated=2.0)}, 0.5) == []
    assert news.changes({"a": replace(RUNNING, updated=3.0)}, 1.0) == [Change("job", "a", "running")]
    assert news.changes({"a": replace(RUNNING, state="stopping")}, 1.1) == [Change("job", "a", "stopping")]
    assert news.changes({"a": replace(RUNNING, state="stopping")}, 9.0) == []


def test_progress_held_back_is_told_later() -> None:
    news = JobNews()
    news.settle({"a": RUNNING}, 0.0)
    moved = {"a": replace(RUNNING, updated=2.0)}

    assert news.changes(moved, 0.5) == []
    assert news.changes(moved, 1.5) == [Change("job", "a", "running")]


def test_a_resumed_and_a_forgotten_job_are_news() -> None:
    news = JobNews()
    news.settle({"a": RUNNING, "b": RUNNING}, 0.0)

    assert news.changes({"a": replace(RUNNING, attempt=2)}, 0.1) == [
        Change("job", "b", "forgotten"),
        Change("job", "a", "running"),
    ]
    assert news.changes({"a": replace(RUNNING, attempt=2)}, 0.2) == []


def test_the_cache_is_compared_by_name_and_stamp() -> None:
    assert cache_changes({"a": 1}, {"a": 1}) == []
    assert cache_changes({}, {SLUG: 1}) == [Change("cache", SLUG, "added")]
    assert cache_changes({SLUG: 1}, {SLUG: 2}) == [Change("cache", SLUG, "changed")]
    assert cache_changes({SLUG: 1}, {}) == [Change("cache", SLUG, "removed")]


# what is looked at


def test_between_full_looks_only_active_jobs_are_read(manager: StandInManager) -> None:
    manager.all_jobs = [StandInJob("active", script=[HALFWAY, DONE]), StandInJob("over", script=[DONE])]
    first = look(manager.real, Snapshot(), is_full=True)
    manager.asked.clear()

    look(manager.real, first, is_full=False)

    assert manager.was_asked("job") == [("active",)]


def test_a_job_started_elsewhere_is_seen_by_its_folder(manager: StandInManager) -> None:
    before = look(manager.real, Snapshot(), is_full=True)
    job = manager.download(NAME)

    after = look(manager.real, before, is_full=False)

    assert list(after.jobs) == [job.id]


def test_the_cache_is_looked_at_when_a_job_ends(manager: StandInManager) -> None:
    job = manager.download(NAME)
    before = look(manager.real, Snapshot(), is_full=True)
    manifest = manager.settings.cache_dir / SLUG / ".qwen3ft" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    (manager.settings.cache_dir / ".incoming").mkdir()

    still_running = look(manager.real, before, is_full=False)
    job.script = [DONE]
    ended = look(manager.real, still_running, is_full=False)

    assert dict(still_running.cache) == {}
    assert list(ended.cache) == [SLUG]


def test_a_job_forgotten_while_it_is_looked_at_does_no_harm(manager: StandInManager) -> None:
    job = manager.download(NAME)
    before = look(manager.real, Snapshot(), is_full=True)
    job.is_forgotten = True

    assert look(manager.real, before, is_full=True).jobs == {}
    look(manager.real, before, is_full=False)


# the task


async def test_a_look_that_fails_is_tried_again(manager: StandInManager) -> None:
    heard: asyncio.Queue[Change] = asyncio.Queue()
    watcher = ChangeWatcher(ManagerAccess(lambda: manager.real), heard.put_nowait)
    watcher.start()
    await asyncio.wait_for(watcher.is_settled.wait(), LIMIT_S)
    manager.failure = OSError("stale file handle")
    watcher.poke()
    await asyncio.to_thread(manager.has_failed.wait, LIMIT_S)
    manager.failure = None
    manager.download(NAME)
    watcher.poke()

    change = await asyncio.wait_for(heard.get(), LIMIT_S)
    await watcher.stop()

    assert (change.subject, change.state) == ("job", "queued")


async def test_stopping_does_not_wait_for_a_dead_drive(
    manager: StandInManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen3ft_jupyter.server.events.STOP_S", 5.0)
    heard: list[Change] = []
    manager.gate, manager.gated = threading.Event(), {"jobs"}
    watcher = ChangeWatcher(ManagerAccess(lambda: manager.real), heard.append)
    watcher.start()
    await asyncio.to_thread(manager.is_blocked.wait, LIMIT_S)

    await asyncio.wait_for(watcher.stop(), LIMIT_S)

    assert not [task for task in asyncio.all_tasks() if task.get_name() == "qwen3ft watcher"]
    manager.gate.set()


async def test_watching_begins_with_the_first_request_and_ends_with_the_server(ask: Ask, app: Qwen3FTApp) -> None:
    def watchers() -> list[str]:
        return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "qwen3ft watcher"]

    assert watchers() == []
    await ask("get", "/jobs")
    await ask("get", "/jobs")
    assert len(watchers()) == 1

    await app.stop_extension()

    assert watchers() == []


# all the way to a browser


async def listen(jp_ws_fetch: Any, ask: Ask, app: Qwen3FTApp) -> Any:
    """Open the socket a browser has, and wait until the server knows what there is."""
    socket = await jp_ws_fetch("api", "events", "subscribe")
    await ask("get", "/jobs")
    assert app.watcher is not None
    await asyncio.wait_for(app.watcher.is_settled.wait(), LIMIT_S)
    return socket


async def test_a_browser_hears_of_a_download_from_start_to_end(
    ask: Ask, jp_ws_fetch: Any, app: Qwen3FTApp, manager: StandInManager
) -> None:
    manager.next_script = [QUEUED, DONE]
    socket = await listen(jp_ws_fetch, ask, app)

    started = await ask("post", "/models/download", query="model_name=Qwen/Qwen3-4B")
    first = await next_change(socket, started.json["id"])
    manager.all_jobs[0].wait()
    last = await next_change(socket, started.json["id"], "succeeded")
    socket.close()

    assert (first["subject"], first["state"]) == ("job", "queued")
    assert last["subject"] == "job"


async def test_a_browser_hears_of_a_deleted_model(
    ask: Ask, jp_ws_fetch: Any, app: Qwen3FTApp, manager: StandInManager
) -> None:
    folder = manager.settings.cache_dir / SLUG
    folder.mkdir()
    socket = await listen(jp_ws_fetch, ask, app)

    folder.rmdir()
    await ask("delete", f"/models/cache/{SLUG}")
    event = await next_change(socket, SLUG, "removed")
    socket.close()

    assert event["subject"] == "cache"


async def test_a_browser_hears_of_a_real_job_that_another_process_started(
    ask: Ask, jp_ws_fetch: Any, app: Qwen3FTApp, manager: StandInManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = JobStore(manager.settings.state_dir, worker=[sys.executable, "-c", "import sys; sys.exit(0)"])
    monkeypatch.setattr(manager, "jobs", store.list)
    monkeypatch.setattr(manager, "job", store.get)
    socket = await listen(jp_ws_fetch, ask, app)

    job = await asyncio.to_thread(lambda: start(store, "download", {}, title="a real one"))
    status = await asyncio.to_thread(job.wait, LIMIT_S)
    last = await next_change(socket, job.id, status.state)
    answer = await ask("get", f"/jobs/{job.id}")
    socket.close()

    assert last["subject"] == "job"
    assert answer.json["state"] == status.state
    assert not status.is_active
