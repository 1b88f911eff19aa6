"""One connection: reads requests within limits, has them answered, and sends the bytes."""

from __future__ import annotations

import http.server
import logging
import re
import socket
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.mirror import accounts, git, huggingface, modelscope, refusals
from qwen3ft_jupyter.mirror.folders import EXHAUSTED
from qwen3ft_jupyter.mirror.replies import Asked, json_reply
from qwen3ft_jupyter.mirror.sending import send_slice
from qwen3ft_jupyter.mirror.tls import speaks_tls

if TYPE_CHECKING:
    import ssl

    from qwen3ft_jupyter.mirror.replies import Reply, Slice
    from qwen3ft_jupyter.mirror.server import MirrorServer

IDLE_S: Final = 60.0
"""An open connection without a request is closed after this: clients keep theirs for about as long."""
REQUEST_S: Final = 20.0
"""A request has to arrive within this, headers and body, however it trickles."""
STALL_S: Final = 60.0
"""A client that takes no byte of a short answer for this long has gone."""
MAX_LINE: Final = 16 << 10
"""Bytes in one line of a request; the longest honest one is a path of 480 bytes with each escaped."""
MAX_HEAD: Final = 64 << 10
"""Bytes in the whole head of a request."""
MAX_BODY: Final = 1 << 20
"""Bytes in the body of a request: a list of paths."""
_HOST = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?|[A-Za-z0-9._-]{1,253}(?::\d{1,5})?", re.ASCII)
_LOOPBACK_HOST = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.ASCII | re.IGNORECASE)

_WHOLE_TARGET = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE | re.DOTALL)
_ASCII: Final = "".join(map(chr, range(33, 127)))

_WORDS = b"This mirror speaks https: begin its address with https://.\n"
_HTTPS_ONLY = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
    % (
        len(_WORDS),
        _WORDS,
    )
)
"""To a client that does not shake hands."""

logger = logging.getLogger(__name__)


class _TooLarge(Exception):
    """The head of a request is longer than any honest one."""


class _RequestReader:
    """Reads requests from a socket, each whole within its time and size; in the place of a buffered file."""

    closed = False

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._deadline = 0.0
        self._left = 0

    def begin(self) -> bool:
        """Wait for the first byte of the next request; return False if the client closed. Raises TimeoutError."""
        self._left = MAX_HEAD
        self._connection.settimeout(IDLE_S)
        if not self._buffer:
            self._buffer = self._connection.recv(MAX_LINE)
        self._deadline = time.monotonic() + REQUEST_S
        return bool(self._buffer)

    def readline(self, _limit: int = -1) -> bytes:
        """Return the next line of the head, with its end; empty at the end of the stream."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > min(MAX_LINE, self._left):
                raise _TooLarge
            if not self._fill():
                return b""  # half a line is none
        line, _, self._buffer = self._buffer.partition(b"\n")
        self._left -= len(line) + 1
        if self._left < 0 or len(line) > MAX_LINE:
            raise _TooLarge
        return line + b"\n"

    def read(self, length: int) -> bytes:
        """Return exactly `length` bytes, fewer at the end of the stream."""
        while len(self._buffer) < length and self._fill():
            pass
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        return data

    def _fill(self) -> bool:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        data = self._connection.recv(MAX_LINE)
        self._buffer += data
        return bool(data)

    def close(self) -> None:
        """Do what files do."""
        self.closed = True


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: MirrorServer
    connection: socket.socket

    def setup(self) -> None:
        """Put the limited reader in the place of the plain one."""
        super().setup()
        self.rfile.close()
        self._reader = _RequestReader(self.connection)
        self.rfile = cast("Any", self._reader)  # has of a file what the base class uses

    def handle(self) -> None:
        """Answer the requests of the connection, having shaken hands on it."""
        try:
            is_ready = self.server.tls is None or self._shakes_hands()
        except OSError as error:  # the client went, or does not trust us
            logger.debug("connection ended: %s", error)
            return
        if is_ready:
            super().handle()

    def _shakes_hands(self) -> bool:
        """Return whether TLS is spoken; who does not is told so. Raises OSError."""
        self.connection.settimeout(REQUEST_S)
        self.server.connections.rests(self.connection)
        if speaks_tls(self.connection):
            cast("ssl.SSLSocket", self.connection).do_handshake()
            return True
        plain = socket.socket  # its methods: those of the connection would speak TLS
        self.connection.settimeout(STALL_S)
        plain.recv(self.connection, MAX_LINE)
        plain.sendall(self.connection, _HTTPS_ONLY)
        return False

    def handle_one_request(self) -> None:
        """Wait for a request and answer it."""
        self.close_connection = True
        try:
            self.server.connections.rests(self.connection)
            if not self._reader.begin():
                return
            super().handle_one_request()
            self.close_connection |= self.server.stopping.is_set()
        except _TooLarge:
            self.request_version, self.requestline, self.command = "HTTP/1.1", "", "GET"
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except (OSError, Stopped) as error:  # the client went, stalled or was too slow; or the mirror is closing
            self.close_connection = True
            logger.debug("connection ended: %s", error)

    def version_string(self) -> str:
        """Return what we are, without versions that tell an attacker where to begin."""
        return "qwen3ft-mirror"

    def do_GET(self) -> None:
        """Answer."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self._answer()

    def do_POST(self) -> None:
        """Answer: some questions are asked this way; nothing is changed."""
        self._answer()

    def do_PUT(self) -> None:
        """Answer: ModelScope's older clients ask for the models of an owner this way; nothing is changed."""
        self._answer()

    def do_PATCH(self) -> None:
        """Refuse."""
        self._answer()

    def do_DELETE(self) -> None:
        """Refuse."""
        self._answer()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what could not be understood, and hang up; nothing of the request is repeated."""
        self.close_connection = True
        self.request_version = self.protocol_version  # the base class sends HTTP/0.9, headers left out, to garbage
        status = HTTPStatus(code)
        headers = {"Connection": "close"}
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = "1"
        self._send(json_reply({"error": status.phrase}, status=status, headers=headers))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Log for those who listen; the base class writes to stderr."""
        logger.debug(format, *args)

    def _answer(self) -> None:
        body = self._body()
        if body is None:
            return
        self.server.connections.works(self.connection)  # not before: half a request makes room as no request does
        if self.request_version == "HTTP/0.9":  # its answers have no head, and so no way to say that they are no file
            self.send_error(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
            return
        hosts = self.headers.get_all("Host", [])
        if len(hosts) > 1:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        host, target = _target(self.path, hosts[0] if hosts else "")
        if not self._is_for_us(host):
            self._send(refusals.misdirected())
            return
        headers: dict[str, str] = {}
        for name, value in self.headers.items():  # several of one name are one list (RFC 9110, section 5.3)
            known = headers.get(name.lower())
            headers[name.lower()] = value if known is None else f"{known}, {value}"
        origin = f"{self.server.scheme}://{host}" if host else self.server.url
        asked = Asked(self.command, target, headers, origin, body)
        try:
            reply = self._reply(asked)
        except OSError as error:  # the disk, not the connection
            logger.warning("the mirror cannot read its models: %s", error)
            is_passing = error.errno in EXHAUSTED
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE if is_passing else HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        try:
            self._send(reply)
        finally:
            if reply.slice is not None:
                reply.slice.file.close()

    def _is_for_us(self, host: str) -> bool:
        """Return whether a request names us: a page in a browser reaches loopback by its own name if DNS changes."""
        if not host:  # a page's request always has one; older programs may send none
            return not self.server.is_local or self.request_version != "HTTP/1.1"
        return (_LOOPBACK_HOST if self.server.is_local else _HOST).fullmatch(host) is not None

    def _reply(self, asked: Asked) -> Reply:
        reply = self._decided(asked)
        return git.in_plain_text(reply) if git.is_by_git(asked) and reply.status >= HTTPStatus.BAD_REQUEST else reply

    def _decided(self, asked: Asked) -> Reply:
        is_modelscope = asked.path.startswith(("/api/v1/", "/openapi/", "/models/"))
        library = self.server.library
        if not accounts.is_allowed(asked, self.server.token):
            return accounts.refused(asked, is_modelscope=is_modelscope)
        if asked.path == "/" and asked.is_read:
            status = {"service": "qwen3ft mirror", "models": len(library.all())}
            return json_reply({**status, "not_served": self.server.unserved()})
        first, second = (modelscope, huggingface) if is_modelscope else (huggingface, modelscope)
        reply = (
            accounts.answer(asked)
            or git.answer(asked, library, self.server.last_pack)
            or first.answer(asked, library)
            or second.answer(asked, library)
        )
        if reply is None and not asked.is_read:
            return refusals.read_only()
        return reply or refusals.no_answer()

    def _body(self) -> bytes | None:
        """Return the body of the request, or None after refusing it."""
        lengths = self.headers.get_all("Content-Length", [])
        if self.headers.get("Transfer-Encoding") is not None or len(set(lengths)) > 1:
            self.send_error(HTTPStatus.LENGTH_REQUIRED)  # two readings of one request are how requests are smuggled
            return None
        text = lengths[0].strip() if lengths else "0"
        if not (text.isascii() and text.isdigit()):
            self.send_error(HTTPStatus.BAD_REQUEST)
            return None
        if len(text) > 9 or int(text) > MAX_BODY:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return None
        body = self._reader.read(int(text))
        if len(body) < int(text):
            raise ConnectionError("the request broke off")
        return body

    def _send(self, reply: Reply) -> None:
        self.connection.settimeout(STALL_S)
        self.send_response(reply.status, reply.reason or None)
        headers = dict(reply.headers)
        if reply.status != HTTPStatus.NOT_MODIFIED:
            headers.setdefault("Content-Length", str(len(reply.body)))
        if self.server.stopping.is_set() or self.server.connections.makes_room(self.connection):
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if reply.body:
            self.wfile.write(reply.body)
        if reply.slice is not None:
            self._send_slice(reply.slice)

    def _send_slice(self, part: Slice) -> None:
        send_slice(self.connection, part)


def _target(target: str, host: str) -> tuple[str, str]:
    """Return host and path of a request; proxies send both in one (RFC 9112, section 3.2.2).

    Letters beyond ASCII, which `curl` sends as they are typed, are escaped.

    >>> _target("http://localhost:80/a?b", "proxy"), _target("/\u00e8\u00af\u00bb", "localhost")
    (('localhost:80', '/a?b'), ('localhost', '/%E8%AF%BB'))
    """
    whole = _WHOLE_TARGET.fullmatch(target)
    if whole is not None:
        host, target = whole[1], whole[2] or "/"
    return host, quote(target, safe=_ASCII, encoding="latin-1")
