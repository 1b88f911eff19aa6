"""The listening socket, and the connections that are open."""

from __future__ import annotations

import contextlib
import http.server
import logging
import selectors
import socket
import socketserver
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.addresses import is_loopback
from qwen3ft_jupyter.mirror.handler import Handler

if TYPE_CHECKING:
    from qwen3ft_jupyter.mirror.library import Library

MAX_CONNECTIONS: Final = 512
"""Open at once, each a thread: thirty clients with sixteen each. Beyond it, the one idle longest has to go."""
GRACE_S: Final = 0.5
"""Answers under way when the mirror closes may take this long to end."""
REFUSAL_S: Final = 0.1
"""The thread that accepts waits this long at most for a client it turns away."""
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

logger = logging.getLogger(__name__)


class Connections:
    """The open connections, and since when each waits for a request. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._idle_since: dict[socket.socket, float | None] = {}

    def __len__(self) -> int:
        return len(self._idle_since)

    def opens(self, connection: socket.socket, *, limit: int) -> bool:
        """Take in a connection, for which an idle one may be closed; return False if all are at work."""
        with self._changed:
            if len(self._idle_since) >= limit:
                idle = [(since, one) for one, since in self._idle_since.items() if since is not None]
                if not idle:
                    return False
                oldest = min(idle, key=lambda pair: pair[0])[1]
                self._idle_since.pop(oldest)
                _hang_up(oldest)
            self._idle_since[connection] = None
            return True

    def rests(self, connection: socket.socket) -> None:
        """Note that the connection waits for a request."""
        self._note(connection, time.monotonic())

    def works(self, connection: socket.socket) -> None:
        """Note that a request is being answered."""
        self._note(connection, None)

    def closes(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._changed:
            self._idle_since.pop(connection, None)
            self._changed.notify_all()

    def hang_up(self, *, only_idle: bool) -> None:
        """Shut connections down, which ends the threads that wait on them."""
        with self._changed:
            for connection, since in self._idle_since.items():
                if since is not None or not only_idle:
                    _hang_up(connection)

    def wait_idle(self, count: int, timeout_s: float) -> bool:
        """Return whether `count` connections waited for a request within `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(
                lambda: sum(since is not None for since in self._idle_since.values()) == count, timeout_s
            )

    def wait_empty(self, timeout_s: float) -> bool:
        """Return whether all connections were closed within `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._idle_since, timeout_s)

    def _note(self, connection: socket.socket, idle_since: float | None) -> None:
        with self._changed:
            if connection in self._idle_since:
                self._idle_since[connection] = idle_since
                self._changed.notify_all()


class MirrorServer(http.server.ThreadingHTTPServer):
    """Accepts connections and gives each a thread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, library: Library, host: str, port: int, *, token: str | None, max_connections: int) -> None:
        """Listen. Raises OSError."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.library = library
        self.token = token
        self.stopping = threading.Event()
        self.connections = Connections()
        self.is_local = is_loopback(host)
        self.timeout = 0.0  # `handle_request` is called when there is one
        self._max_connections = max_connections
        self._wake, self._woken = socket.socketpair()
        super().__init__((host, port), Handler)

    @property
    def url(self) -> str:
        """Return the address to give to clients."""
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if self.address_family == socket.AF_INET6 else f"http://{host!s}:{port}"

    def server_bind(self) -> None:
        """Bind without the base class's look-up of the host's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def accept_until_stopped(self) -> None:
        """Accept connections until `stop` is called; without the base class's polling, idle costs nothing."""
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self.stopping.is_set():
                selector.select()
                if not self.stopping.is_set():
                    self.handle_request()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the connection, or ask to come back; Any as in the base class."""
        if self.connections.opens(request, limit=self._max_connections):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.settimeout(REFUSAL_S)
            request.sendall(_FULL)
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close the connection; Any as in the base class."""
        self.connections.closes(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log what went wrong with one connection; the base class writes to stderr; Any as there."""
        logger.exception("a request to the mirror failed")  # noqa: LOG004 - called while the exception is handled

    def stop(self) -> None:
        """Stop accepting."""
        self.stopping.set()
        self._wake.close()

    def finish(self) -> None:
        """After `stop`, when nothing is accepted any more: let answers under way end for a moment, then hang up."""
        self.server_close()
        self._woken.close()
        self.connections.hang_up(only_idle=True)
        if not self.connections.wait_empty(GRACE_S):
            self.connections.hang_up(only_idle=False)
            self.connections.wait_empty(GRACE_S)


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may have gone already
        connection.shutdown(socket.SHUT_RDWR)
