"""Servers that are slow, crowded or silent, and how the tests of transfer download from them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.hubs.retry import RetryPolicy
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.transfer.hub_source import HubSource
from qwen3ft_jupyter.transfer.journal import parse_journal
from qwen3ft_jupyter.transfer.pieces import spans_of
from qwen3ft_jupyter.work import Work
from tests.servers import Reply, Seen
from tests.transfer.origin import REPO, Origin, Recorder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.transfer.partial import FetchedFile
    from qwen3ft_jupyter.transfer.source import ByteStream, Source
    from qwen3ft_jupyter.work import Reporter

MB = 1 << 20
NAME = "model.safetensors"
QUICK = RetryPolicy(attempts=4, first_delay_s=0.01, max_delay_s=0.02)


def source_of(origin: Origin, client: HttpClient) -> HubSource:
    return HubSource(origin, origin.listing(REPO), client)


def run(
    sources: Sequence[Source],
    files: Sequence[RemoteFile],
    folder: Path,
    *,
    connections: int = 4,
    reporter: Reporter | None = None,
    policy: RetryPolicy = QUICK,
) -> list[FetchedFile]:
    reporter = reporter or Recorder()
    return fetch(
        files, sources=sources, folder=folder, max_connections=connections, policy=policy, work=Work(reporter=reporter)
    )


def noted_bytes(folder: Path) -> int:
    """Return how many bytes the fullest journal tells of."""
    journals = [parse_journal(path.read_bytes()) for path in folder.glob("*.journal")]
    return max((spans_of(journal.records).total for journal in journals if journal is not None), default=0)


def range_of(seen: Seen, data: bytes) -> tuple[int, int]:
    """Return start and end of what is asked for."""
    first, last = seen.range or (0, None)
    return first, len(data) if last is None else last + 1


def partly(seen: Seen, data: bytes, parts: Iterable[Any]) -> Reply:
    """Promise all of the range, and send `parts`."""
    start, end = range_of(seen, data)
    headers = {"Content-Length": str(end - start)}
    if seen.range:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return Reply(206 if seen.range else 200, parts, headers)


def paced(seen: Seen, data: bytes, *, pause_s: float, step: int = 32 << 10) -> Reply:
    """Answer with `step` bytes every `pause_s`: the speed of one connection to a slow server."""

    def parts() -> Iterator[bytes]:
        start, end = range_of(seen, data)
        for position in range(start, end, step):
            yield data[position : min(end, position + step)]
            time.sleep(pause_s)

    return partly(seen, data, parts())


class Crowded:
    """Serves so many connections at once and answers 429 to the others."""

    def __init__(self, data: bytes, limit: int, *, retry_after: str = "") -> None:
        self.data = data
        self.limit = limit
        self.headers = {"Retry-After": retry_after} if retry_after else {}
        self.serving = 0
        self.refused = 0
        self._lock = threading.Lock()

    def __call__(self, seen: Seen, _count: int) -> Reply:
        with self._lock:
            if self.serving >= self.limit:
                self.refused += 1
                return Reply(429, headers=self.headers)
            self.serving += 1
        return partly(seen, self.data, self._parts(seen))

    def _parts(self, seen: Seen) -> Iterator[bytes]:
        start, end = range_of(seen, self.data)
        try:
            for position in range(start, end, 64 << 10):
                if end - position <= 64 << 10:
                    with self._lock:  # before the client has all of it and asks again
                        self.serving -= 1
                yield self.data[position : min(end, position + (64 << 10))]
                time.sleep(0.002)
        except GeneratorExit:  # the client has hung up
            with self._lock:
                self.serving -= 1


class LateSource:
    """A source that does not know its files until it is told."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.is_there = threading.Event()
        self.is_asked = threading.Event()
        """Set when somebody wants to know whether it will ever have anything."""
        self.is_resolved = threading.Event()

    @property
    def name(self) -> str:
        return self._source.name

    def wait(self, limit_s: float) -> bool:
        self.is_asked.set()
        return self.is_there.is_set() or self.is_resolved.wait(limit_s)

    def has(self, file: RemoteFile) -> bool:
        return self.is_there.is_set() and self._source.has(file)

    def open(
        self, file: RemoteFile, start: int, end: int, *, stop: threading.Event
    ) -> AbstractContextManager[ByteStream]:
        return self._source.open(file, start, end, stop=stop)


class SlowLink:
    """Answers all requests at one speed together, and holds still for a while now and then; counts what it sends."""

    def __init__(self, data: bytes, *, bytes_per_s: float, gap_every: int = 0, gap_s: float = 0.0) -> None:
        self.data = data
        self.sent = 0
        self._bytes_per_s = bytes_per_s
        self._gap_every = gap_every
        self._gap_s = gap_s
        self._free_at = 0.0
        self._open = 0
        self._lock = threading.Lock()

    def __call__(self, seen: Seen, _count: int) -> Reply:
        return partly(seen, self.data, self._parts(seen))

    @property
    def is_sending(self) -> bool:
        """Whether a request is being answered."""
        return self._open > 0

    def _parts(self, seen: Seen) -> Iterator[bytes]:
        start, end = range_of(seen, self.data)
        step = 16 << 10
        with self._lock:
            self._open += 1
        try:
            for position in range(start, end, step):
                part = self.data[position : min(end, position + step)]
                time.sleep(max(0.0, self._book(len(part)) - time.monotonic()))
                yield part
        finally:
            with self._lock:
                self._open -= 1

    def _book(self, count: int) -> float:
        """Return when `count` more bytes may be sent."""
        with self._lock:
            before, self.sent = self.sent, self.sent + count
            self._free_at = max(self._free_at, time.monotonic()) + count / self._bytes_per_s
            if self._gap_every and before // self._gap_every != self.sent // self._gap_every:
                self._free_at += self._gap_s
            return self._free_at
