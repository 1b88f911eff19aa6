"""One HTTP client for questions to the hubs and for the bytes of files.

It sits on urllib3's connections and adds what a downloader must be sure of: credentials never follow a redirect to
another origin, nothing is ever fetched more weakly than it was asked for, answers have a largest size, and every wait
ends within a second of `stop` being set.

Speed, 512 MiB over loopback, one connection: urllib3's `read`, `read1` and `readinto` with a 1 MiB buffer and a bare
``recv_into`` cost 0.11 to 0.15 CPU seconds alike, while SHA-256 of the same bytes costs 0.3. The copy is no bottleneck,
so the public methods are used.
"""

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
from dataclasses import dataclass
from json import loads
from typing import TYPE_CHECKING

from urllib3 import Timeout
from urllib3.exceptions import HTTPError, ProxyError, ReadTimeoutError

from qwen3ft_jupyter.errors import BadListing, HubError, HubUnreachable, Qwen3ftError, SourceFailed
from qwen3ft_jupyter.hubs import retry
from qwen3ft_jupyter.hubs.compression import decompressed, too_large
from qwen3ft_jupyter.hubs.failures import as_store, broken, host_of, origin_of, redirect_target, unreachable
from qwen3ft_jupyter.hubs.network import make_manager, proxy_for
from qwen3ft_jupyter.hubs.receiving import GATHER_S, WholeResponse
from qwen3ft_jupyter.hubs.wire import Exchange, PlainPool, TlsPool, stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from typing_extensions import Self
    from urllib3 import PoolManager
    from urllib3.response import BaseHTTPResponse

CONNECT_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 30.0
"""Longest silence on a connection. There is no limit on the whole: slow links finish too."""
QUESTION_IDLE_S = 15.0
"""The same where a question is asked: it is asked twice, of two hubs, and somebody waits."""
HEAD_LIMIT_S = 60.0
"""Longest wait for the head of one answer, connecting included, even if bytes of it trickle in."""
SLOW_WINDOW_S = 60.0
MIN_BYTES_PER_S = 1024
"""An answer to a question that brings less, over a window as above, is given up."""
MAX_REDIRECTS = 10
MAX_ANSWER_BYTES = 64 * 2**20
"""Largest answer to a question: a listing of 100,000 files has about 40 MB."""
MAX_JSON_DEPTH = 32
"""Real answers nest six levels; Python's parser recurses, and a deep one could exhaust the stack."""
MAX_REFUSAL_BYTES = 16 * 1024
REFUSAL_S = 2.0
"""Nobody waits longer for a hub to say why it refuses a file."""
PROXY_AGE_S = 2.0
"""After this time the environment is asked again which proxy there is: a notebook may set one between two downloads."""
MAX_DISCARDED_BYTES = 64 * 1024
"""Longest body that is read and thrown away to keep a connection; a new one costs less than more of them."""

_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
_ANNOUNCING = ("content-length", "transfer-encoding")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TOKENS = re.compile(rb'"(?:[^"\\]+|\\.?)*(?:"|\Z)|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer to a question."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes
    url: str
    """Where it came from, after redirects."""

    def json(self, *, max_depth: int = MAX_JSON_DEPTH) -> object:
        """Return the body as JSON.

        Raises:
            BadListing: It is not JSON, or nested more deeply than `max_depth`.
        """
        host = host_of(self.url)
        if json_depth(self.body) > max_depth:
            raise BadListing("{host} answered with JSON nested too deeply.", host=host)
        try:
            return loads(self.body)
        except ValueError as error:
            raise BadListing(
                "{host} answered with something that is not JSON.",
                hint="If this network has a login page, open it in a browser first." if b"<" in self.body[:64] else "",
                host=host,
            ) from error


class Response:
    """An open answer whose body is still on the wire. Close it, or use it in a `with` block."""

    def __init__(self, raw: BaseHTTPResponse, exchange: Exchange, url: str, *, idle_s: float) -> None:
        self._raw = raw
        self._body = getattr(raw, "_original_response", None)
        self._exchange = exchange
        self._idle_s = idle_s
        self.status = raw.status
        self.headers: Mapping[str, str] = raw.headers
        """Names in any case."""
        self.url = url
        """After redirects; it may hold a signature, so it is never shown."""

    def read(self, size: int) -> bytes:
        """Return what has arrived, at least one and at most `size` bytes, or ``b""`` at the end of the body.

        Raises:
            SourceFailed: The connection broke, went silent or ended before the announced length.
            Stopped: `stop` was set.
        """
        with self._told():
            data = self._raw.read1(size, decode_content=False)
        if self._exchange.is_stopped and not data:  # what has arrived is not thrown away
            raise stopped()
        return data or b""

    def read_into(self, view: memoryview) -> int:
        """Put what arrives at about the same time into `view`; return how many bytes, at least one, or 0 at the end.

        Raises like `read`.
        """
        body = self._body if isinstance(self._body, WholeResponse) else None
        if body is not None and body.is_bare:
            with self._told():
                return self._receive_into(body, view, self._idle_s)
        data = self.read(len(view))
        count = len(data)
        view[:count] = data
        if body is not None and body.is_bare and 0 < count < len(view):  # what came with the head is no read of its own
            with contextlib.suppress(OSError):  # whoever reads on is told
                count += self._receive_into(body, view[count:], GATHER_S)
        return count

    def _receive_into(self, body: WholeResponse, view: memoryview, idle_s: float) -> int:
        count = body.receive_into(view, idle_s=idle_s)
        self._raw.length_remaining = body.length  # the library counts what it reads itself
        if not body.length:
            self._raw.read(decode_content=False)  # nothing is left, and now the library knows
        return count

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say in our words what went wrong with the body."""
        try:
            yield
        except (HTTPError, OSError, ValueError) as error:  # ValueError: a chunk size that is no number
            if self._exchange.is_stopped:
                raise stopped() from error
            raise broken(self.url, error) from error

    def beginning(self) -> bytes:
        """Return the body of a refusal, or as much of it as comes in a moment: it may say why."""
        body, began = b"", time.monotonic()
        with contextlib.suppress(SourceFailed):
            while len(body) < MAX_REFUSAL_BYTES and time.monotonic() - began < REFUSAL_S:
                data = self.read(MAX_REFUSAL_BYTES - len(body))
                if not data:
                    break
                body += data
        return body

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it, so that the server sends no more."""
        wire = self._exchange.wire
        self._exchange.end()
        if wire is not None and self._raw.connection is not None:
            wire.cut()  # it is a second handle: without this, closing the first would leave the connection open
        self._raw.close()
        self._raw.release_conn()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class HttpClient:
    """Keeps connections and asks over them. All methods may be called from several threads."""

    def __init__(
        self,
        *,
        max_connections: int = 16,
        user_agent: str = "qwen3ft-jupyter",
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Args: connections kept per host, our name, the two time limits, and where jitter comes from."""
        self.user_agent = user_agent
        self._max_connections = max_connections
        self._connect_s, self._idle_s = connect_timeout_s, idle_timeout_s
        self._chance = chance
        self._lock = threading.Lock()
        self._managers: dict[tuple[str | None, bool], PoolManager] = {}
        self._proxies: dict[tuple[str, str, int | None], tuple[str | None, float]] = {}

    def open(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        idle_s: float = IDLE_TIMEOUT_S,
        stop: threading.Event | None = None,
    ) -> Response:
        """Ask for `url`, follow redirects, and return the answer whatever its status is.

        Args:
            url: Where to ask.
            headers: What to send beside our name.
            idle_s: The longest silence in seconds, where the client's own limit is not shorter.
            stop: Ends it.

        Raises:
            HubUnreachable: No connection; `details["cause"]` is name-lookup, refused, timeout, silent, tls, handshake,
                proxy, garbled, reset or address.
            HubError: The redirects lead in a circle, too far or to a weaker connection.
            Stopped: `stop` was set.
        """
        given = {name.lower(): value for name, value in (headers or {}).items()}
        asked = {"user-agent": self.user_agent, "accept-encoding": "identity"} | given
        first, visited = url, set[str]()
        for _ in range(MAX_REDIRECTS + 1):
            visited.add(url)
            try:
                response = self._send(url, asked, min(idle_s, self._idle_s), stop)
            except HubUnreachable as error:
                raise as_store(error, url, first) from error
            if response.status == 407:
                response.close()
                raise unreachable(url, ProxyError("the proxy asks for a password", OSError()))
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or not location:
                return response
            _discard(response)
            target = redirect_target(url, location)
            if target in visited:
                raise HubError("{host} redirects in a circle.", host=host_of(url))
            asked = asked if origin_of(target) == origin_of(url) else _without_credentials(asked)
            url = target
        raise HubError("{host} redirects too often.", host=host_of(url))

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_ANSWER_BYTES,
        tries: int = retry.QUESTIONS.attempts,
        stop: threading.Event | None = None,
    ) -> Answer:
        """Return the whole answer to a question, after trying again (at most `tries` times) where that may help.

        Raises:
            HubUnreachable, HubBusy: Every attempt failed in a way that may pass.
            BadListing: The answer is larger than `max_bytes`.
            HubError: See `open`.
            Stopped: `stop` was set.
        """
        waiter = stop or threading.Event()
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._get_once(url, headers, max_bytes, stop)
            except Qwen3ftError as error:
                pause = retry.pause_s(attempt, error, chance=self._chance, policy=retry.QUESTIONS)
                if pause is None or attempt >= tries:
                    raise
                retry.tell_why(error)
            if waiter.wait(pause):
                raise stopped()

    def close(self) -> None:
        """Close every connection that is kept."""
        with self._lock:
            managers = list(self._managers.values())
            self._managers.clear()
        for manager in managers:
            manager.clear()

    def _get_once(
        self, url: str, headers: Mapping[str, str] | None, max_bytes: int, stop: threading.Event | None
    ) -> Answer:
        with self.open(url, headers=headers, idle_s=QUESTION_IDLE_S, stop=stop) as response:
            host = host_of(response.url)
            if response.status in retry.TRANSIENT_STATUSES:
                raise retry.busy(host, response.status, response.headers.get("retry-after"))
            try:
                body = _read_all(response, max_bytes)
            except SourceFailed as error:
                raise HubUnreachable(error.message, hint=error.hint, details=error.details) from error
        return Answer(response.status, response.headers, body, response.url)

    def _send(self, url: str, headers: Mapping[str, str], idle_s: float, stop: threading.Event | None) -> Response:
        """Send one request; again if a kept connection turns out to have been closed by the other side."""
        while True:
            exchange = Exchange(stop, head_limit_s=HEAD_LIMIT_S)
            try:
                raw = self._ask(url, headers, Timeout(connect=self._connect_s, read=idle_s), exchange)
            except (HTTPError, OSError, ValueError) as error:
                if exchange.is_stopped:
                    raise stopped() from error
                if exchange.is_late:
                    raise unreachable(url, error, cause="silent") from error
                if not exchange.is_reused or isinstance(error, ReadTimeoutError):
                    raise unreachable(url, error) from error
                continue
            exchange.answered()
            return Response(raw, exchange, url, idle_s=idle_s)

    def _ask(self, url: str, headers: Mapping[str, str], timeout: Timeout, exchange: Exchange) -> BaseHTTPResponse:
        exchange.begin()
        try:
            with exchange.on_this_thread():
                return self._manager(url).request(
                    "GET",
                    url,
                    headers=headers,
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=timeout,
                )
        except BaseException:
            exchange.end()
            raise

    def _manager(self, url: str) -> PoolManager:
        proxy = self._proxy(url)
        is_tls = url.lower().startswith("https:")
        with self._lock:
            if (proxy, is_tls) not in self._managers:
                manager = make_manager(proxy, self._max_connections, is_tls=is_tls)
                manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
                self._managers[proxy, is_tls] = manager
            return self._managers[proxy, is_tls]

    def _proxy(self, url: str) -> str | None:
        """Return the proxy for `url`. To look through the environment costs a third of a request, so not for each."""
        origin, now = origin_of(url), time.monotonic()
        proxy, until = self._proxies.get(origin, (None, 0.0))
        if now >= until:
            proxy = proxy_for(url)
            self._proxies[origin] = proxy, now + PROXY_AGE_S
        return proxy


def _without_credentials(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _CREDENTIALS}


def _discard(response: Response) -> None:
    """Read the short body of an answer that is not needed, so that its connection can be used again."""
    length = response.headers.get("content-length", "")
    if length.isdigit() and int(length) <= MAX_DISCARDED_BYTES:
        with contextlib.suppress(SourceFailed):
            while response.read(MAX_DISCARDED_BYTES):
                pass
    response.close()


def _read_all(response: Response, max_bytes: int) -> bytes:
    body = bytearray()
    began, before = time.monotonic(), 0
    while data := response.read(1 << 20):
        body += data
        if len(body) > max_bytes:
            raise too_large(response.url)
        if time.monotonic() - began > SLOW_WINDOW_S:
            if len(body) - before < SLOW_WINDOW_S * MIN_BYTES_PER_S:
                raise SourceFailed(
                    "{host} answers too slowly.", details={"cause": "silent"}, host=host_of(response.url)
                )
            began, before = time.monotonic(), len(body)
    if not body and response.status == 200 and not any(map(response.headers.get, _ANNOUNCING)):
        raise SourceFailed(
            "{host} broke off its answer.", host=host_of(response.url)
        )  # an empty one would have a length
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    return decompressed(bytes(body), encoding, response.url, max_bytes)


def json_depth(body: bytes) -> int:
    """Return how deeply brackets are nested in `body`, strings left out, without recursing.

    >>> json_depth(b'{"a": [1, "]]]]"], "b": {}}')
    2
    """
    depth = deepest = 0
    for match in _TOKENS.finditer(body):
        token = match.group()
        if token in {b"[", b"{"}:
            depth += 1
            deepest = max(deepest, depth)
        elif token in {b"]", b"}"}:
            depth -= 1
    return deepest
