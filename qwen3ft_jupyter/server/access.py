"""The way from the event loop to the manager: every call runs in a thread, in one of four lanes with its own limit.

A cache on a network drive can block a thread for minutes. Requests that only read therefore share a few threads of
their own, so that however many polls are stuck there, stopping a job or deleting a model still finds a free one; and
so do those that wait for a hub.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from tornado import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.manager import ModelManager

T = TypeVar("T")

READ_THREADS = 4
ACT_THREADS = 4
ASK_THREADS = 2
WATCH_THREADS = 1
MAX_WAITING = 64
"""Requests that may wait for a thread of one lane; a panel sends about three, so this is many stuck browsers."""


class ManagerAccess:
    """Builds the manager at the first call and runs calls on it off the event loop."""

    def __init__(self, build: Callable[[], ModelManager], *, on_first_use: Callable[[], None] | None = None) -> None:
        self._build = build
        self._on_first_use = on_first_use
        self._manager: ModelManager | None = None
        self._building = threading.Lock()
        self._limiters: dict[str, CapacityLimiter] = {}
        self._inside: Counter[str] = Counter()

    async def read(self, call: Callable[[ModelManager], T]) -> T:
        """Run a call that changes nothing. Raises what it raises, or HTTP 503 when too many are waiting."""
        return await self._run("read", READ_THREADS, call)

    async def act(self, call: Callable[[ModelManager], T]) -> T:
        """Run a call that changes something. Raises what it raises, or HTTP 503 when too many are waiting."""
        return await self._run("act", ACT_THREADS, call)

    async def ask(self, call: Callable[[ModelManager], T]) -> T:
        """Run a call that asks a hub. Raises what it raises, or HTTP 503 when too many are waiting."""
        return await self._run("ask", ASK_THREADS, call)

    async def watch(self, call: Callable[[ModelManager], T]) -> T:
        """Run a call for the watcher; if the waiting task is cancelled, the thread is left to end by itself."""
        return await anyio.to_thread.run_sync(
            self._with_manager, call, limiter=self._limiter("watch", WATCH_THREADS), abandon_on_cancel=True
        )

    async def _run(self, lane: str, threads: int, call: Callable[[ModelManager], T]) -> T:
        # Counted here: the limiter itself learns of those who wait only some turns of the event loop later.
        if self._inside[lane] >= threads + MAX_WAITING:
            raise web.HTTPError(503)
        self._inside[lane] += 1
        try:
            result = await anyio.to_thread.run_sync(self._with_manager, call, limiter=self._limiter(lane, threads))
        finally:
            self._inside[lane] -= 1
        if self._on_first_use is not None:
            announce, self._on_first_use = self._on_first_use, None
            announce()
        return result

    def _limiter(self, lane: str, threads: int) -> CapacityLimiter:
        if lane not in self._limiters:  # made here, not in the constructor: it belongs to the running event loop
            self._limiters[lane] = CapacityLimiter(threads)
        return self._limiters[lane]

    def _with_manager(self, call: Callable[[ModelManager], T]) -> T:
        with self._building:
            # A failure is not kept: the .env file that caused it may be mended without a restart.
            manager = self._manager = self._manager or self._build()
        return call(manager)
