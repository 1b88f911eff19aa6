"""A server extension that measures its server for `panel`: how late the event loop is, and who asks for what."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from typing import Any

from jupyter_server.utils import url_path_join
from tornado import web

TICK_S = 0.005
_ID = re.compile(r"(?<=/jobs/)[^/?]+")


class Probe:
    """What happens between `start` and `stop`."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.bytes = 0
        self._late: list[float] = []
        self._task: asyncio.Task[None] | None = None
        self._cpu_s = 0.0

    def start(self) -> None:
        """Begin to measure."""
        self.requests.clear()
        self.bytes = 0
        self._late = []
        self._cpu_s = time.process_time()
        self._task = asyncio.get_running_loop().create_task(self._tick())

    def stop(self) -> dict[str, object]:
        """Return what was measured; times in milliseconds but for the CPU's."""
        if self._task is not None:
            self._task.cancel()
        late = sorted(self._late) or [0.0]
        p50, p99 = (late[int(len(late) * share)] * 1000 for share in (0.5, 0.99))
        return {
            "requests": dict(self.requests),
            "bytes": self.bytes,
            "p50_ms": p50,
            "p99_ms": p99,
            "most_ms": late[-1] * 1000,
            "cpu_s": time.process_time() - self._cpu_s,
        }

    def note(self, handler: web.RequestHandler) -> None:
        """Count a request of ours."""
        path = handler.request.path
        if "/qwen3ft/" in path:
            route = _ID.sub("*", path.partition("/qwen3ft/")[2])
            self.requests[f"{route}{'' if handler.get_status() == 200 else f' ({handler.get_status()})'}"] += 1
            self.bytes += int(handler._headers.get("Content-Length", 0))

    async def _tick(self) -> None:
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            self._late.append(max(0.0, time.perf_counter() - due))


class ProbeHandler(web.RequestHandler):
    """Starts and stops the probe."""

    def initialize(self, probe: Probe) -> None:
        """Receive it."""
        self.probe = probe

    def get(self, verb: str) -> None:
        """Answer with what `verb` gives."""
        if verb == "start":
            self.probe.start()
        self.finish(self.probe.stop() if verb == "stop" else {})


def _load_jupyter_server_extension(serverapp: Any) -> None:
    probe = Probe()
    web_app = serverapp.web_app
    before = web_app.settings.get("log_function")

    def log(handler: web.RequestHandler) -> None:
        probe.note(handler)
        if before is not None:
            before(handler)

    web_app.settings["log_function"] = log
    pattern = url_path_join(web_app.settings["base_url"], "/probe/(start|stop)")
    web_app.add_handlers(".*$", [(pattern, ProbeHandler, {"probe": probe})])
