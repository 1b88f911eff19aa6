"""A loopback HTTP server whose every answer a test writes.

    def answer(request: Seen) -> Reply:
        return Reply(200, b"hello")

    with ScriptedServer(answer) as server:
        ... server.url ... server.seen ...

A handler may also return an iterable body whose items are bytes to send, `Stall(event)` to wait until the event is
set (or the server closes), or `ABORT` to reset the connection there and then.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from typing_extensions import Self

LIMIT_S = 30.0
"""Longest a stalled handler waits when nobody releases it; tests end long before."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    port: int = 0
    """The client's port: equal ports are one connection."""

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def range(self) -> tuple[int, int | None] | None:
        """First and last byte asked for, or None without a Range header."""
        value = self.headers.get("range", "")
        if not value.startswith("bytes="):
            return None
        first, _, last = value.removeprefix("bytes=").partition("-")
        return int(first), int(last) if last else None


@dataclass(frozen=True, slots=True)
class Stall:
    """In a body: wait here until `event` is set or the server closes."""

    event: threading.Event = field(default_factory=threading.Event)


class _Abort:
    """In a body: reset the connection (TCP RST)."""


class _Close:
    """In a body: close the connection in good order (TCP FIN), however much was promised."""


ABORT = _Abort()
CLOSE = _Close()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Without a Content-Length in `headers`, bytes bodies get theirs and iterables are sent until closed."""

    status: int = 200
    body: bytes | Iterable[bytes | Stall | _Abort | _Close] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_chunked: bool = False


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Answer with JSON."""
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


def redirect(location: str, status: int = 302) -> Reply:
    """Answer with a redirect."""
    return Reply(status, b"", {"Location": location})


def file_reply(request: Seen, data: bytes) -> Reply:
    """Answer like a well-behaved store: 206 with Content-Range to a Range, 416 beyond the end, else 200."""
    asked = request.range
    if asked is None:
        return Reply(200, data, {"Accept-Ranges": "bytes"})
    first, last = asked
    if first >= len(data):
        return Reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
    end = min(len(data), (last + 1) if last is not None else len(data))
    return Reply(206, data[first:end], {"Content-Range": f"bytes {first}-{end - 1}/{len(data)}"})


class ScriptedServer:
    """A threaded HTTP/1.1 server on 127.0.0.1 for the length of a `with` block."""

    def __init__(self, answer: Callable[[Seen], Reply], *, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self._seen: list[Seen] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._connections: set[socket.socket] = set()
        self._server = _Server(("127.0.0.1", 0), _handler_for(self))
        self._tls = tls
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def seen(self) -> list[Seen]:
        """Every request so far, in order of arrival."""
        with self._changed:
            return list(self._seen)

    def paths(self) -> list[str]:
        """The path of every request so far."""
        return [request.path for request in self.seen]

    def wait_for(self, count: int = 1, limit_s: float = 60.0) -> None:
        """Return when `count` requests have arrived; fail after `limit_s`."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._seen) >= count, limit_s), f"{count} requests did not come"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(120)

    def _record(self, seen: Seen) -> None:
        with self._changed:
            self._seen.append(seen)
            self._changed.notify_all()

    def _wait(self, stall: Stall) -> None:
        for _ in range(int(LIMIT_S / 0.02)):
            if stall.event.wait(0.02) or self._closing.is_set():
                return


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests; nothing is printed."""


def _handler_for(server: ScriptedServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(_Handler):
        scripted = server

    return Handler


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go out in two writes; the second must not wait for an answer
    scripted: ScriptedServer

    def setup(self) -> None:
        super().setup()
        with self.scripted._changed:
            self.scripted._connections.add(self.connection)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        with self.scripted._changed:
            self.scripted._connections.discard(self.connection)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Nothing is printed."""

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, self.client_address[1])
        self.scripted._record(seen)
        reply = self.scripted.answer(seen)
        self._send_head(reply)
        if self.command != "HEAD":
            self._send_body(reply)

    do_GET = do_HEAD = do_POST = do_CONNECT = do_PUT = do_DELETE = _serve  # noqa: N815

    def _send_head(self, reply: Reply) -> None:
        self.send_response(reply.status)
        names = {name.lower() for name in reply.headers}
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif isinstance(reply.body, bytes) and "content-length" not in names:
            self.send_header("Content-Length", str(len(reply.body)))
        elif "content-length" not in names:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()

    def _send_body(self, reply: Reply) -> None:
        parts = [reply.body] if isinstance(reply.body, bytes) else reply.body
        for part in parts:
            if isinstance(part, _Abort):
                # linger of zero seconds turns close() into a reset
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
                return
            if isinstance(part, _Close):
                self.close_connection = True
                return
            if isinstance(part, Stall):
                self.wfile.flush()
                self.scripted._wait(part)
                continue
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if reply.is_chunked else part)
            self.wfile.flush()
        if reply.is_chunked:
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()


COMMIT = "c" * 40
"""At which a stand-in has all its repos."""


def dataset_hub(repos: Mapping[str, Mapping[str, bytes]]) -> Callable[[Seen], Reply]:
    """Answer as both hubs do for data sets: files by path, by repo id. Their own clients take it for the real ones."""

    def answer(request: Seen) -> Reply:
        for repo_id, files in repos.items():
            rest = request.path.partition(f"/datasets/{repo_id}/")[2]
            if not rest:
                continue
            if request.path.startswith("/api/v1/"):
                return _as_modelscope(request, rest, files)
            return _as_hugging_face(request, rest, repo_id, files)
        if request.path.startswith("/api/v1/"):
            return json_reply({"Code": 10010205001, "Message": "not found", "Success": False}, 404)
        return json_reply({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    return answer


def _as_modelscope(request: Seen, rest: str, files: Mapping[str, bytes]) -> Reply:
    if rest == "repo/tree":
        number, size = (int(request.query.get(name, "1")) for name in ("PageNumber", "PageSize"))
        listed = [
            {
                "Path": path,
                "Name": path.rpartition("/")[2],
                "Type": "blob",
                "Size": len(data),
                "Sha256": hashlib.sha256(data).hexdigest(),
            }
            for path, data in files.items()
        ]
        page = listed[(number - 1) * size : number * size]
        return json_reply({"Code": 200, "Data": {"Files": page, "TotalCount": len(listed)}, "Success": True})
    if rest == "repo" and (data := files.get(request.query.get("FilePath", ""))) is not None:
        return file_reply(request, data)
    if rest == "revisions":
        branches = [{"Revision": "master"}]
        return json_reply({"Code": 200, "Data": {"RevisionMap": {"Branches": branches, "Tags": []}}, "Success": True})
    return json_reply({"Code": 404, "Message": "not found", "Success": False}, 404)


def _as_hugging_face(request: Seen, rest: str, repo_id: str, files: Mapping[str, bytes]) -> Reply:
    kind, _, below = rest.partition("/")
    if kind == "revision":
        siblings = [{"rfilename": path} for path in files]
        return json_reply({"id": repo_id, "sha": COMMIT, "siblings": siblings, "private": False, "gated": False})
    if kind == "tree":
        return json_reply(
            [{"type": "file", "path": path, "size": len(data), "oid": _git_sha1(data)} for path, data in files.items()]
        )
    data = files.get(below.partition("/")[2])
    if kind != "resolve" or data is None:
        return json_reply({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
    reply = file_reply(request, data)
    etag = {"ETag": f'"{_git_sha1(data)}"', "X-Repo-Commit": COMMIT}
    return Reply(reply.status, reply.body, {**reply.headers, **etag})


def _git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324 - as git names it
