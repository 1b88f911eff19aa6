"""The way from the event loop to the manager: every call runs in a thread, in one of four lanes with its own limit.

A cache on a network drive can block a thread for minutes. Requests that only read therefore share a few threads of
their own, so that however many polls are stuck there, stopping a job or deleting a model still finds a free one; and
so do those that wait for a hub.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from tornado import web

from qwen3ft_jupyter.processes import start_thread

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


class Lane:
    """Runs calls off the event loop, so many at once and no more."""

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._threads = threads
        self._inside = 0
        self._free = asyncio.Semaphore(threads)

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call` in a thread and return what it returns. Raises what it raises, or HTTP 503 if too many wait."""
        if self._inside >= self._threads + MAX_WAITING:
            raise web.HTTPError(503)
        self._inside += 1
        try:
            async with self._free:
                return await run_in_daemon(call, name=f"qwen3ft-{self._name}")
        finally:
            self._inside -= 1


class ManagerAccess:
    """Builds the manager at the first call and runs calls on it off the event loop."""

    def __init__(self, build: Callable[[], ModelManager], *, on_first_use: Callable[[], None] | None = None) -> None:
        self._build = build
        self._on_first_use = on_first_use
        self._manager: ModelManager | None = None
        self._building = threading.Lock()
        self._read = Lane("read", READ_THREADS)
        self._act = Lane("act", ACT_THREADS)
        self._ask = Lane("ask", ASK_THREADS)
        self._watch = Lane("watch", WATCH_THREADS)

    async def read(self, call: Callable[[ModelManager], T]) -> T:
        """Run a call that changes nothing. Raises what it raises, or HTTP 503 when too many are waiting."""
        return await self._answer(self._read, call)

    async def act(self, call: Callable[[ModelManager], T]) -> T:
        """Run a call that changes something. Raises what it raises, or HTTP 503 when too many are waiting."""
        return await self._answer(self._act, call)

    async def ask(self, call: Callable[[ModelManager], T]) -> T:
        """Run a call that asks a hub. Raises what it raises, or HTTP 503 when too many are waiting."""
        return await self._answer(self._ask, call)

    async def watch(self, call: Callable[[ModelManager], T]) -> T:
        """Run a call for the watcher; if the waiting task is cancelled, the thread is left to end by itself."""
        return await self._watch.run(lambda: call(self._manager_in_force()))

    async def _answer(self, lane: Lane, call: Callable[[ModelManager], T]) -> T:
        result = await lane.run(lambda: call(self._manager_in_force()))
        if self._on_first_use is not None:
            announce, self._on_first_use = self._on_first_use, None
            announce()
        return result

    def _manager_in_force(self) -> ModelManager:
        with self._building:
            # A failure is not kept: the .env file that caused it may be mended without a restart.
            self._manager = self._manager or self._build()
            return self._manager


async def run_in_daemon(call: Callable[[], T], *, name: str) -> T:
    """Run `call` in a thread that the end of the process does not wait for, and return what it returns.

    The threads of AnyIO, of `asyncio.to_thread` and of `concurrent.futures` are joined when the interpreter ends: one
    that waits for a dead drive would keep the server from ending. Starting a thread costs less than 0.1 ms.

    Raises what `call` raises, or HTTP 503 if the system has no thread to give.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def settle(give: Callable[[Any], None], value: object) -> None:
        if not ended.done():  # else the waiting task was cancelled
            give(value)

    def work() -> None:
        try:
            outcome: tuple[Callable[[Any], None], object] = ended.set_result, call()
        except BaseException as error:  # noqa: BLE001 - a border: whatever it is, it is raised to whoever waits
            outcome = ended.set_exception, error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    if not start_thread(threading.Thread(target=work, name=name, daemon=True)):
        raise web.HTTPError(503)  # on the event loop, the call could keep all others waiting
    return await ended
