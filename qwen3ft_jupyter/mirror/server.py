"""The listening socket: takes connections in, gives each a thread, and turns away politely what is too many."""

from __future__ import annotations

import contextlib
import http.server
import logging
import selectors
import socket
import socketserver
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.mirror.addresses import is_loopback
from qwen3ft_jupyter.mirror.connections import Connections
from qwen3ft_jupyter.mirror.folders import EXHAUSTED
from qwen3ft_jupyter.mirror.git import LastPack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from qwen3ft_jupyter.mirror.library import Library

    Request: TypeAlias = (
        Any  # both as the base class leaves them open: a socket, and what `accept` says of its other end
    )
    Address: TypeAlias = Any

MAX_CONNECTIONS: Final = 1024
"""Open at once, each a thread: sixty clients with sixteen each, in some 50 MB."""
SPARE_DESCRIPTORS: Final = 64
"""Left for everything else of the process; each connection may need two, for itself and for a file."""
GRACE_S: Final = 0.5
"""Answers under way when the mirror closes may take this long to end."""
REFUSAL_S: Final = 1.0
"""A client that is turned away has so long to take the answer."""
MAX_REFUSALS: Final = 32
"""Turned away at the same time; who comes then is hung up on."""
THREAD_S: Final = 5.0
"""A connection waits so long for a thread; clients wait for twice as long and more."""
REST_S: Final = 1.0
"""Who has asked nothing for so long gives its thread to another; a request that is on its way comes sooner."""
PAUSE_S: Final = 0.05
"""When the machine is exhausted, connections are taken in again after this."""
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a mirror serves."""

    token: str | None = None
    """Asked of every client."""
    max_connections: int = MAX_CONNECTIONS
    tls: ssl.SSLContext | None = None
    expected: Callable[[], Iterable[str]] = tuple
    """Names the models that people may expect to be served."""


class MirrorServer(http.server.ThreadingHTTPServer):
    """Accepts connections and gives each a thread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024
    allow_reuse_address = True

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[http.server.BaseHTTPRequestHandler],
        library: Library,
        terms: Terms,
    ) -> None:
        """Listen. Raises OSError."""
        host, _ = address
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.library = library
        self.token = terms.token
        self.tls = terms.tls
        self._expected = terms.expected
        self.scheme = "https" if terms.tls is not None else "http"
        self.last_pack = LastPack()
        self.stopping = threading.Event()
        self.connections = Connections(min(terms.max_connections, room_for_connections(terms.max_connections)))
        self.is_local = is_loopback(host)
        self.timeout = 0.0  # `handle_request` is called when there is one
        self._refusals = threading.BoundedSemaphore(MAX_REFUSALS)
        self._wake, self._woken = socket.socketpair()
        super().__init__(address, handler)

    def unserved(self) -> list[str]:
        """Return the models that people may expect here but that no list of this mirror has. Raises OSError."""
        return sorted(set(self._expected()) - {model.repo_id for model in self.library.all()})

    @property
    def url(self) -> str:
        """Return the address to give to clients."""
        host, port = self.server_address[:2]
        name = f"[{host!s}]" if self.address_family == socket.AF_INET6 else f"{host!s}"
        return f"{self.scheme}://{name}:{port}"

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

    def get_request(self) -> tuple[socket.socket, Address]:
        """Accept a connection. Raises OSError, which the base class takes for none."""
        try:
            connection, address = super().get_request()
            return self._secured(connection), address
        except OSError as error:
            if error.errno in EXHAUSTED and not self.connections.drop_idle():
                self.stopping.wait(PAUSE_S)  # the connection stays in the queue: looking again at once would spin
            raise

    def _secured(self, connection: socket.socket) -> socket.socket:
        """Return the connection, under TLS if that is spoken; the handshake is left to the thread that reads."""
        if self.tls is None:
            return connection
        try:
            return self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except OSError:  # the client has gone
            connection.close()
            raise

    def process_request(self, request: Request, client_address: Address) -> None:
        """Start a thread for the connection, or ask to come back."""
        if self.connections.opens(request, str(client_address[0])):
            if self._starts_thread(request, client_address):
                return
            self.connections.closes(request)
        if not self._refusals.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            threading.Thread(target=self._turn_away, args=(request,), name="qwen3ft-mirror-full", daemon=True).start()
        except RuntimeError:
            self._refusals.release()
            self.shutdown_request(request)

    def _starts_thread(self, request: Request, client_address: Address) -> bool:
        """Return whether a thread took the connection on, having waited for one where the machine has none left."""
        deadline = time.monotonic() + THREAD_S
        while True:
            with contextlib.suppress(RuntimeError):
                super().process_request(request, client_address)
                return True
            if self.stopping.is_set() or time.monotonic() >= deadline:
                return False
            self.connections.drop_idle(after_s=REST_S)
            self.stopping.wait(PAUSE_S)  # meanwhile others wait in the queue of the system

    def shutdown_request(self, request: Request) -> None:
        """Close the connection."""
        self.connections.closes(request)
        super().shutdown_request(request)

    def handle_error(self, request: Request, client_address: Address) -> None:  # noqa: ARG002
        """Log what went wrong with one connection; the base class writes to stderr."""
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

    def _turn_away(self, request: socket.socket) -> None:
        """Answer that there is no room. The request is read first: closing on unread bytes would destroy the answer."""
        try:
            with contextlib.suppress(OSError):
                request.settimeout(REFUSAL_S)
                request.recv(1 << 16)
                request.sendall(_FULL)
                request.shutdown(socket.SHUT_WR)
                request.recv(1 << 16)
        finally:
            self._refusals.release()
            self.shutdown_request(request)


def room_for_connections(wanted: int) -> int:
    """Return for how many connections there are file descriptors, having asked for as many as the user may have."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    needed = 2 * wanted + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        better = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS has a further limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (better, hard))
            soft = better
    return wanted if soft == resource.RLIM_INFINITY else max(1, (soft - SPARE_DESCRIPTORS) // 2)
