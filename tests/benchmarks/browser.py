"""A page of a real browser, driven over the DevTools protocol, and what it takes of the processor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.websocket import websocket_connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

START_S = 120.0


def await_answer(ask: Callable[[], object], log: Path) -> None:
    """Ask until there is an answer."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            ask()
            return
        time.sleep(0.2)
    raise SystemExit(log.read_text("utf-8", "replace"))


class Browser:
    """A page of chromium, driven over the DevTools protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._session: str | None = None
        self._target = ""
        self._number = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, profile: Path) -> AsyncIterator[Browser]:
        """Yield a browser without a window."""
        program = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            raise SystemExit("chromium is needed")
        flags = ["--headless=new", "--no-sandbox", "--remote-debugging-port=0", "--window-size=1280,900"]
        process = subprocess.Popen(  # noqa: ASYNC220 - nothing else happens meanwhile
            [program, *flags, f"--user-data-dir={profile}", "about:blank"],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            address = profile / "DevToolsActivePort"
            await_answer(address.read_text, Path(os.devnull))
            await asyncio.sleep(0.5)
            port, path = address.read_text().split()
            yield cls(await websocket_connect(f"ws://127.0.0.1:{port}{path}", max_message_size=1 << 26))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    async def send(self, method: str, *, of_page: bool = True, **params: object) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        session = {"sessionId": self._session} if of_page and self._session else {}
        number = self._number
        await self._socket.write_message(json.dumps({"id": number, "method": method, "params": params, **session}))
        while True:
            answer = json.loads(await self._socket.read_message())
            if answer.get("id") == number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    async def open_page(self, url: str) -> None:
        """Open a page, in place of the one before, without waiting for what is on it."""
        if self._target:
            await self.send("Target.closeTarget", of_page=False, targetId=self._target)
        self._session = None
        self._target = (await self.send("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self.send("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        await self.send("Page.navigate", url=url)

    async def show_lab(self, url: str) -> None:
        """Open JupyterLab and wait until it is ready."""
        await self.open_page(url)
        is_there = "!!window.jupyterapp && !!document.querySelector('#jp-main-dock-panel')"
        await self.wait_for(f"{is_there} && !document.querySelector('#jupyterlab-splash')")
        await self.send("Performance.enable")

    async def wait_for(self, expression: str) -> None:
        """Wait until an expression in the page is true."""
        deadline = time.monotonic() + START_S
        while not await self.run(expression):
            if time.monotonic() > deadline:
                raise SystemExit(f"This never comes true in the browser: {expression}")
            await asyncio.sleep(0.3)

    async def run(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        done = await self.send(
            "Runtime.evaluate",
            expression=f"Promise.resolve({expression}).then(value => value === undefined ? null : value)",
            awaitPromise=True,
            returnByValue=True,
        )
        return done["result"].get("value")

    async def counters(self) -> dict[str, float]:
        """Return the seconds that all processes of the browser, those of pages, and the main thread have taken."""
        found = {one["name"]: one["value"] for one in (await self.send("Performance.getMetrics"))["metrics"]}
        processes = (await self.send("SystemInfo.getProcessInfo", of_page=False))["processInfo"]
        return {
            "browser": sum(one["cpuTime"] for one in processes),
            "process": sum(one["cpuTime"] for one in processes if one["type"] == "renderer"),
            **{name: found[name] for name in ("TaskDuration", "ScriptDuration", "LayoutDuration")},
        }

    async def collect_garbage(self) -> None:
        """Let the page's scripts give back the memory that they no longer need."""
        await self.send("HeapProfiler.collectGarbage")

    async def profile(self, seconds: float) -> dict[str, Any]:
        """Return which functions the page's scripts spend their time in, as the browser's developer tools read it."""
        await self.send("Profiler.enable")
        await self.send("Profiler.setSamplingInterval", interval=200)
        await self.send("Profiler.start")
        await asyncio.sleep(seconds)
        found: dict[str, Any] = (await self.send("Profiler.stop"))["profile"]
        await self.send("Profiler.disable")
        return found
