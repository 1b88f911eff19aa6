"""The hub of the benchmarks: our mirror, in a process of its own, made slow, far away or unreliable.

``python -m tests.benchmarks.origin FOLDER REPO_ID '{"per_connection": 20e6}'`` prints its address; to each line on
stdin it prints what it has sent since the line before, and it serves until stdin ends.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.mirror.handler import Handler
from qwen3ft_jupyter.mirror.mirror import Mirror

if TYPE_CHECKING:
    from qwen3ft_jupyter.mirror.replies import Reply, Slice

SEND_BYTES = 64 << 10
"""Sent at once, as the stores of the hubs do: a client that does much for each read is seen to."""
SLACK_S = 0.02
"""Time that nobody used is saved up as far as this: a thread wakes late, and a limit is to be what it says."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the hub treats its clients. Zero means: not at all."""

    per_connection: float = 0
    """Bytes/s over one connection, whatever is asked over it."""
    per_server: float = 0
    """Bytes/s over all connections."""
    latency_s: float = 0
    """Passes before each answer."""
    drop_share: float = 0
    """Share of the bodies of files that are broken off by a reset. Besides, the first body of each large file is."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What the hub has sent to one program."""

    requests: int
    body_bytes: int
    """Of files, handed to the network; what a reset destroys on its way counts."""


class Bucket:
    """Lets bytes through at a rate, none in advance."""

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = bytes_per_s
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, count: int) -> None:
        """Return when `count` more bytes have had the time they take."""
        if not self._rate:
            return
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic() - SLACK_S) + count / self._rate
            due = self._free_at
        time.sleep(max(0.0, due - time.monotonic()))


class Tally:
    """Counts what is sent, and decides what is broken off: the same for each program, by a fixed seed."""

    def __init__(self, drop_share: float) -> None:
        self._drop_share = drop_share
        self._lock = threading.Lock()
        self._start()

    def begin_body(self, target: str, length: int) -> int:
        """Return after how many of the `length` bytes to break off; `length` for a body that comes whole."""
        with self._lock:
            is_first = ".safetensors" in target and target not in self._broken
            if self._drop_share and (is_first or self._random.random() < self._drop_share):
                self._broken.add(target)
                return length // 2
            return length

    def add(self, *, requests: int = 0, body_bytes: int = 0) -> None:
        with self._lock:
            self._sent = Sent(self._sent.requests + requests, self._sent.body_bytes + body_bytes)

    def take(self) -> Sent:
        """Return the counts, and start anew."""
        with self._lock:
            sent = self._sent
            self._start()
            return sent

    def _start(self) -> None:
        self._sent = Sent(0, 0)
        self._broken: set[str] = set()
        self._random = random.Random(2)  # noqa: S311 - the same for everyone is what is wanted


class OriginHandler(Handler):
    """Answers as the mirror does, with the behaviour asked for."""

    behaviour = Behaviour()
    tally = Tally(0)
    server_bucket = Bucket(0)

    def setup(self) -> None:
        super().setup()
        self._bucket = Bucket(self.behaviour.per_connection)

    def _send(self, reply: Reply) -> None:
        self.tally.add(requests=1)
        time.sleep(self.behaviour.latency_s)
        super()._send(reply)

    def _send_slice(self, part: Slice) -> None:
        end = self.tally.begin_body(self.path, part.length)
        sent = 0
        self.connection.setblocking(True)
        try:
            while sent < end:
                count = min(SEND_BYTES, end - sent)
                self._bucket.take(count)
                self.server_bucket.take(count)
                sent += os.sendfile(self.connection.fileno(), part.file.fileno(), part.start + sent, count)
        finally:
            self.tally.add(body_bytes=sent)
        if end < part.length:
            self._reset()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        raise ConnectionResetError("as planned")


def main() -> None:
    folder, repo_id, behaviour = Path(sys.argv[1]), sys.argv[2], Behaviour(**json.loads(sys.argv[3]))
    OriginHandler.behaviour = behaviour
    OriginHandler.tally = Tally(behaviour.drop_share)
    OriginHandler.server_bucket = Bucket(behaviour.per_server)
    with Mirror({repo_id: folder}) as mirror:
        assert mirror._server is not None
        mirror._server.RequestHandlerClass = OriginHandler
        print(mirror.url, flush=True)
        for _ in sys.stdin:
            print(json.dumps(asdict(OriginHandler.tally.take())), flush=True)


if __name__ == "__main__":
    main()
