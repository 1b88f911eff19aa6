"""A job at work is activity of the server, whoever started it; what an open panel asks for is none."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.server import app as app_module
from tests.server.standin import DONE, HALFWAY, NAME, StandInJob

if TYPE_CHECKING:
    from qwen3ft_jupyter.server.app import Qwen3FTApp
    from tests.server.asking import Ask
    from tests.server.standin import StandInManager

LIMIT_S = 120.0
LONG_AGO = datetime(2026, 1, 1, tzinfo=timezone.utc)


class IdleServer:
    """A server that has been idle since long ago and is due to end."""

    def __init__(self, serverapp: Any, app: Qwen3FTApp, fetch: Any) -> None:
        self.serverapp, self.app, self._fetch = serverapp, app, fetch
        self.has_ended = False
        serverapp.shutdown_no_activity_timeout = 25
        serverapp.web_app.settings["started"] = LONG_AGO
        serverapp.web_app.settings["api_last_activity"] = LONG_AGO
        serverapp.kernel_manager.last_kernel_activity = LONG_AGO

    def stop(self) -> None:
        self.has_ended = True

    def ends(self) -> bool:
        """Do what Jupyter does once a minute; return whether that ends the server."""
        self.serverapp.shutdown_no_activity()
        return self.has_ended

    async def last_activity(self) -> datetime:
        """Return what JupyterHub's culler reads."""
        told = json.loads((await self._fetch("api", "status")).body)["last_activity"]
        return datetime.fromisoformat(told.replace("Z", "+00:00"))

    async def looks_until(self, *, is_working: bool) -> None:
        """Wait until the watcher has seen jobs at work, or none."""
        assert self.app.watcher is not None
        deadline = time.monotonic() + LIMIT_S
        while self.app.watcher.is_working is not is_working or not self.app.watcher.is_settled.is_set():
            assert time.monotonic() < deadline, "waited in vain"
            self.app.watcher.poke()
            await asyncio.sleep(0.01)


@pytest.fixture
def idle(jp_serverapp: Any, app: Qwen3FTApp, jp_fetch: Any, monkeypatch: pytest.MonkeyPatch) -> IdleServer:
    server = IdleServer(jp_serverapp, app, jp_fetch)
    monkeypatch.setattr(jp_serverapp, "stop", server.stop)
    return server


async def test_a_server_with_a_job_at_work_is_not_ended_until_the_job_has(
    idle: IdleServer, ask: Ask, manager: StandInManager
) -> None:
    job = manager.download(NAME)
    job.script = [HALFWAY]
    await ask("get", "/jobs")
    await idle.looks_until(is_working=True)

    assert not idle.ends()
    assert datetime.now(timezone.utc) - await idle.last_activity() < timedelta(seconds=LIMIT_S)

    job.script = [DONE]
    await idle.looks_until(is_working=False)
    assert not idle.ends()  # it has been idle for a moment, not for 25 seconds
    idle.serverapp.web_app.settings["last_activity_times"].clear()
    assert idle.ends()


async def test_a_paused_job_waits_for_a_person_and_is_no_activity(
    idle: IdleServer, ask: Ask, manager: StandInManager
) -> None:
    job = manager.download(NAME)
    job.script, job.controls = [HALFWAY], {"paused": True, "max_speed": None}
    await ask("get", "/jobs")
    await idle.looks_until(is_working=False)

    assert idle.ends()


async def test_an_administrator_may_have_jobs_not_count(idle: IdleServer, ask: Ask, manager: StandInManager) -> None:
    idle.app.jobs_are_activity = False
    manager.download(NAME).script = [HALFWAY]
    await ask("get", "/jobs")
    await idle.looks_until(is_working=True)

    assert idle.ends()
    assert await idle.last_activity() == LONG_AGO


async def test_an_open_panel_that_polls_and_listens_is_no_activity(
    idle: IdleServer, ask: Ask, jp_ws_fetch: Any
) -> None:
    socket = await jp_ws_fetch("api", "events", "subscribe")
    for path in ("/status", "/models", "/models/cache/list", "/jobs"):
        await ask("get", path)
    await idle.looks_until(is_working=False)

    assert idle.ends()
    assert await idle.last_activity() == LONG_AGO
    socket.close()


@pytest.fixture
def no_delay(manager: StandInManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server watch from its start, and a job be at work before that."""
    monkeypatch.setattr(app_module, "START_S", 0.0)
    manager.all_jobs = [StandInJob("20260102-030405-download-0000", script=[HALFWAY])]


@pytest.mark.usefixtures("no_delay")
async def test_a_job_counts_though_no_browser_ever_came(idle: IdleServer) -> None:
    """It may have been started from a terminal or a cell, or before the server was."""
    await idle.looks_until(is_working=True)

    assert not idle.ends()
