"""Sockets that can be broken off: a name lookup, a connect, a handshake or a read ends when someone sets `stop`.

A blocked ``recv`` cannot be told to look at an event, and waking it every quarter of a second would cost throughput.
So each connection keeps a second handle on its socket, and one watching thread shuts the socket down through it.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import queue
import selectors
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.hubs.receiving import Pace, WholeResponse
from qwen3ft_jupyter.processes import start_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    AddressInfo: TypeAlias = tuple[Any, ...]  # as `socket.getaddrinfo` gives it

POLL_S = 0.1
"""Seconds between two looks at `stop`; well under the second in which a cancel must be felt."""
MIN_CONNECT_S = 2.0
"""Seconds each further address of a host gets although the connect time is used up: IPv6 may be broken, IPv4 not."""
_IN_PROGRESS = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY, 10035, 10036})  # the last: Winsock's

_CONNECTED = frozenset({0})

_here = threading.local()


def stopped() -> Stopped:
    """Return the error for work that someone asked to stop."""
    return Stopped("Stopped on request.", hint="What arrived is kept; start it again to go on.")


class Wire:
    """A second handle on the socket of a connection, by which any thread can break it off."""

    def __init__(self, connection: socket.socket) -> None:
        self._handle = connection.dup()

    def cut(self) -> None:
        """Shut the connection down; whoever is blocked on it wakes up."""
        with contextlib.suppress(OSError):  # already closed by the other side
            self._handle.shutdown(socket.SHUT_RDWR)

    def __del__(self) -> None:
        # held by a pooled connection and by the response read from it, whichever lives longer
        with contextlib.suppress(Exception):  # at interpreter exit anything may be gone
            self._handle.close()


class Exchange:
    """One request and its response while they are on the wire; watched between `begin` and `end`.

    It is broken off when `stop` is set, or when the head of the answer has not come in time: a server that sends it
    byte by byte is never silent, and would hold its client for hours.
    """

    def __init__(self, stop: threading.Event | None, *, head_limit_s: float) -> None:
        self.stop = stop
        self.wire: Wire | None = None
        self._deadline = time.monotonic() + head_limit_s
        self.is_reused = False
        """Whether the request went out on a connection that had been kept."""

    @property
    def is_stopped(self) -> bool:
        """Whether someone asked for the end of it."""
        return self.stop is not None and self.stop.is_set()

    @property
    def is_late(self) -> bool:
        """Whether the head of the answer has not come in time."""
        return time.monotonic() > self._deadline

    def begin(self) -> None:
        """Start watching. Raises Stopped if there is nothing to begin any more."""
        if self.is_stopped:
            raise stopped()
        _watch.add(self)

    def answered(self) -> None:
        """Note that the head of the answer is there: the body may take its time."""
        self._deadline = float("inf")

    def end(self) -> None:
        """Stop watching."""
        _watch.remove(self)
        self.wire = None

    @contextlib.contextmanager
    def on_this_thread(self) -> Iterator[None]:
        """Let the connections this thread opens or uses belong to this exchange."""
        _here.exchange = self
        try:
            yield
        finally:
            _here.exchange = None


class _Watch:
    """One thread for the process that cuts the wires of exchanges that are to end; it lives while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exchanges: set[Exchange] = set()
        self._is_running = False

    def add(self, exchange: Exchange) -> None:
        with self._lock:
            self._exchanges.add(exchange)
            if self._is_running:
                return
            self._is_running = True
        if not start_thread(threading.Thread(target=self._run, name="qwen3ft-stop-watch", daemon=True)):
            self._is_running = False  # the next exchange tries again

    def remove(self, exchange: Exchange) -> None:
        with self._lock:
            self._exchanges.discard(exchange)

    def _run(self) -> None:
        idle_rounds = 0
        while True:
            time.sleep(POLL_S)
            self.look()
            with self._lock:
                idle_rounds = 0 if self._exchanges else idle_rounds + 1
                if idle_rounds > 50:
                    self._is_running = False
                    return

    def look(self) -> None:
        """Cut what is to end."""
        with self._lock:
            cut = [one.wire for one in self._exchanges if one.is_stopped or one.is_late]
        for wire in cut:
            if wire is not None:
                wire.cut()


_watch = _Watch()


def break_off_stopped() -> None:
    """Break off what is to end: for a thread that looks around anyway, as the system may have none for the watch."""
    _watch.look()


def _reset_after_fork() -> None:
    """Forget the parent's watching thread: it does not exist in a forked child."""
    global _watch  # noqa: PLW0603 - one watch for the process
    _watch = _Watch()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


def dial(host: str, port: int, *, timeout_s: float, stop: threading.Event | None) -> socket.socket:
    """Return a connected TCP socket.

    Raises:
        socket.gaierror: The name is unknown.
        TimeoutError, OSError: No address of the host answered.
        Stopped: `stop` was set.
    """
    deadline = time.monotonic() + timeout_s
    failure: OSError = OSError("the name has no address")
    for address in _look_up(host, port, timeout_s=timeout_s, stop=stop):
        try:
            return _connect(address, timeout_s=max(MIN_CONNECT_S, deadline - time.monotonic()), stop=stop)
        except OSError as error:  # noqa: PERF203 - the next address may answer
            failure = error
    raise failure


def _look_up(host: str, port: int, *, timeout_s: float, stop: threading.Event | None) -> list[AddressInfo]:
    """Return the addresses of `host`. A lookup cannot be interrupted, so it happens on a thread that may be left."""
    host = host.strip("[]")
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    answers: queue.SimpleQueue[list[AddressInfo] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:  # UnicodeError: a label too long for IDNA
            answers.put(error)

    if not start_thread(threading.Thread(target=ask, name="qwen3ft-look-up", daemon=True)):
        ask()  # a stop is felt when it has ended
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if stop is not None and stop.is_set():
            raise stopped()
        with contextlib.suppress(queue.Empty):
            answer = answers.get(timeout=POLL_S)
            if isinstance(answer, UnicodeError):
                raise socket.gaierror(socket.EAI_NONAME, "not a host name") from answer
            if isinstance(answer, OSError):
                raise answer
            return answer
    raise socket.gaierror(socket.EAI_AGAIN, "the name lookup took too long")


def _connect(address: AddressInfo, *, timeout_s: float, stop: threading.Event | None) -> socket.socket:
    family, kind, protocol, _, target = address
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _raise_code(connection.connect_ex(target), unless=_IN_PROGRESS)
        _wait_writable(connection, timeout_s=timeout_s, stop=stop)
        _raise_code(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), unless=_CONNECTED)
    except BaseException:
        connection.close()
        raise
    return connection


def _raise_code(code: int, *, unless: frozenset[int]) -> None:
    if code not in unless:
        raise OSError(code, os.strerror(code))


def _wait_writable(connection: socket.socket, *, timeout_s: float, stop: threading.Event | None) -> None:
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_WRITE)
        while time.monotonic() < deadline:
            if stop is not None and stop.is_set():
                raise stopped()
            if selector.select(POLL_S):
                return
    raise TimeoutError("no answer to the connect")


class _Dialled(HTTPConnection):
    """What our two kinds of connection share: they dial interruptibly and tell the exchange their wire."""

    wire: Wire | None = None
    is_fresh = True
    """Whether no request has gone out on the present socket yet; a TLS pool connects before the request."""

    def _new_conn(self) -> socket.socket:
        exchange: Exchange = _here.exchange
        self.is_fresh = True
        timeout_s = float(self.timeout or MIN_CONNECT_S)
        try:
            connection = dial(self._dns_host, self.port, timeout_s=timeout_s, stop=exchange.stop)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "no answer to the connect") from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error
        connection.settimeout(timeout_s)
        self.response_class = partial(WholeResponse, pace=Pace())  # type: ignore[assignment] # it is only called
        self.wire = exchange.wire = Wire(connection)
        return connection

    def request(self, *args: Any, **kwargs: Any) -> None:
        exchange: Exchange = _here.exchange
        exchange.wire = self.wire
        exchange.is_reused = self.sock is not None and not self.is_fresh
        super().request(*args, **kwargs)
        self.is_fresh = False


class PlainConnection(_Dialled):
    """An interruptible ``http`` connection."""


class TlsConnection(_Dialled, HTTPSConnection):
    """An interruptible ``https`` connection."""


class PlainPool(HTTPConnectionPool):
    """Keeps plain connections."""

    ConnectionCls = PlainConnection


class TlsPool(HTTPSConnectionPool):
    """Keeps TLS connections."""

    ConnectionCls = TlsConnection
