"""A real HTTP proxy on loopback, for plain requests and tunnels, that may refuse, ask for a password or die."""

from __future__ import annotations

import base64
import contextlib
import selectors
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self


class Proxy:
    """Leads the hosts of `routes` to ports on loopback, and every other host nowhere."""

    def __init__(self, routes: Mapping[str, int], *, login: str = "", refusal: bytes = b"") -> None:
        """Args: ports by ``host:port``; ``user:password`` if it wants one; what it answers instead, if anything."""
        self._routes = routes
        self._login = login
        self._refusal = refusal
        self.dies_after: int | None = None
        """Bytes from a server after which a connection through the proxy is cut, each time."""
        self.heads: list[bytes] = []
        """What clients said to the proxy itself, in order."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_closed = False
        self.port = self._listener.getsockname()[1]

    def url(self, login: str = "") -> str:
        return f"http://{login}{'@' if login else ''}127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Die: no connection is taken any more, and those that are open end."""
        self._is_closed = True
        with contextlib.suppress(OSError):  # closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):  # either side may hang up
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(65536)
                if not data:
                    return
                head += data
            self.heads.append(head)
            refusal = self._refusal or self._denial(head)
            if refusal:
                client.sendall(refusal)
                return
            method, target, _ = head.split(b" ", 2)
            address = target.decode() if method == b"CONNECT" else self._host_of(target.decode())
            with socket.create_connection(("127.0.0.1", self._routes[address])) as server:
                if method == b"CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    path = target.split(b"/", 3)[3]
                    # one request a connection: the next may be for another host
                    head = head.replace(target, b"/" + path, 1).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
                    server.sendall(head)
                self._pump(client, server)

    def _denial(self, head: bytes) -> bytes:
        login = base64.b64encode(self._login.encode())
        if not self._login or b"proxy-authorization: basic " + login.lower() in head.lower():
            return b""
        return b'HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'

    @staticmethod
    def _host_of(target: str) -> str:
        host = target.split("/")[2]
        return host if ":" in host else f"{host}:80"

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while not self._is_closed:
                for key, _ in selector.select(0.05):
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    data = source.recv(65536)
                    if not data:
                        return
                    key.data.sendall(data)
                    passed += len(data) if source is server else 0
                    if self.dies_after is not None and passed > self.dies_after:
                        return
