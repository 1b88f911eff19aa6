"""A hub as a source of bytes: ranged requests over the HTTP client, every answer checked before it is trusted.

A hub redirects large files to a store, by an address that is signed and good for minutes to hours. Asking the hub for
each piece anew would cost a round trip per piece, and hubs count requests: so the address is kept for the file's other
pieces. Nothing but the range is sent there: credentials are the hub's.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import (
    HubError,
    ModelNotFound,
    Qwen3ftError,
    SourceFailed,
    TransferError,
    WrongBytes,
)
from qwen3ft_jupyter.hubs.failures import origin_of
from qwen3ft_jupyter.hubs.reasons import reason_of
from qwen3ft_jupyter.hubs.refusals import FINAL_STATUSES, STAYS, file_refused
from qwen3ft_jupyter.hubs.retry import TRANSIENT_STATUSES, busy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from qwen3ft_jupyter.hubs.http import HttpClient, Response
    from qwen3ft_jupyter.hubs.listing import Hub, Listing, RemoteFile, Request

MAX_TARGETS: Final = 256
"""Files whose store address is kept at the same time; they travel one after the other, so few are needed."""

TARGET_AGE_S: Final = 300.0
"""After this time the hub is asked again although the address still works: it may know a better store by then."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)
_FULL = frozenset({200, 206})


class HubSource:
    """The files of one listing, from the hub that gave it. Used from several threads at once."""

    def __init__(
        self, hub: Hub, listing: Listing, client: HttpClient, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hub = hub
        self._listing = listing
        self._client = client
        self._targets = _Targets(clock)
        self._shortcut_works = True
        self._by_digest: dict[str, RemoteFile] = {}
        for file in listing.files:
            for digest in (file.sha256, file.git_sha1):
                if digest:
                    self._by_digest[digest] = file

    @property
    def name(self) -> str:
        """Return what the hub is called in front of a person."""
        return self._hub.label

    def has(self, file: RemoteFile) -> bool:
        """Return whether the listing has these bytes, under any path."""
        return self._find(file) is not None

    @contextlib.contextmanager
    def open(self, file: RemoteFile, start: int, end: int, *, stop: threading.Event) -> Iterator[HubStream]:
        """Ask for the bytes of `file` from `start` up to `end`; see `Source.open`."""
        own = self._find(file)
        if own is None:
            raise SourceFailed("{path}: {source} does not list it.", path=file.path, source=self.name)
        # whole files need no range, which some mirrors get wrong
        asked = {} if (start, end) == (0, file.size) else {"range": f"bytes={start}-{end - 1}"}
        response = self._ask_target(own, asked, stop) or self._ask_hub(own, asked, stop)
        with response:
            try:
                if response.status not in _FULL:
                    raise _refusal(response, file, self.name, is_store=self._is_store(response, own))
                yield _checked(response, file, start, end, source=self.name)
            except (HubError, TransferError):
                self._targets.forget(own.path)  # whatever it was, the hub may know another store
                raise

    def _ask_target(self, own: RemoteFile, asked: Mapping[str, str], stop: threading.Event) -> Response | None:
        """Return what the store answers whose address is known, or None if the hub has to be asked (again)."""
        target = self._targets.get(own.path)
        if target is None:
            return None
        try:
            response = self._client.open(target, headers=asked, stop=stop)
        except HubError:
            self._targets.forget(own.path)
            return None
        if response.status in _FULL or response.status in TRANSIENT_STATUSES:
            return response
        response.close()
        self._targets.forget(own.path)  # its signature has expired
        return None

    def _ask_hub(self, own: RemoteFile, asked: Mapping[str, str], stop: threading.Event) -> Response:
        request = self._hub.file_request(self._listing, own)
        response = self._ask_shortcut(request, asked, stop)
        if response is None:
            response = self._client.open(request.url, headers={**request.headers, **asked}, stop=stop)
            if request.shortcut and response.status in _FULL:
                self._shortcut_works = False
        if asked and response.status in _FULL and origin_of(response.url) != origin_of(request.url):
            self._targets.keep(own.path, response.url)
        return response

    def _ask_shortcut(self, request: Request, asked: Mapping[str, str], stop: threading.Event) -> Response | None:
        """Ask for a nearer store; return None if there is none, or it cannot be reached from here after all."""
        if not request.shortcut or not self._shortcut_works:
            return None
        headers = {**request.headers, **request.shortcut, **asked}
        try:
            response = self._client.open(request.url, headers=headers, stop=stop)
        except HubError:
            return None
        if response.status in _FULL or response.status in TRANSIENT_STATUSES:
            return response
        response.close()
        return None

    def _is_store(self, response: Response, own: RemoteFile) -> bool:
        """Return whether it is not the hub itself that has answered."""
        return origin_of(response.url) != origin_of(self._hub.file_request(self._listing, own).url)

    def _find(self, file: RemoteFile) -> RemoteFile | None:
        found = self._by_digest.get(file.sha256 or "") or self._by_digest.get(file.git_sha1 or "")
        return found if found is not None and found.size == file.size else None


class _Targets:
    """Where the hub said each file is. Used from several threads at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[str, float]] = {}

    def get(self, path: str) -> str | None:
        with self._lock:
            url, until = self._kept.get(path, ("", 0.0))
            return url if url and self._clock() < until else None

    def keep(self, path: str, url: str) -> None:
        with self._lock:
            self._kept.pop(path, None)
            self._kept[path] = (url, self._clock() + TARGET_AGE_S)
            if len(self._kept) > MAX_TARGETS:
                del self._kept[next(iter(self._kept))]

    def forget(self, path: str) -> None:
        with self._lock:
            self._kept.pop(path, None)


class HubStream:
    """The body of a checked answer, cut to the range that was asked for."""

    def __init__(self, response: Response, *, is_ranged: bool, skip: int, length: int) -> None:
        self.is_ranged = is_ranged
        """Whether the hub started at the range; else the front of the file is read and thrown away."""
        self._response = response
        self._skip = skip
        self._left = length

    def read_into(self, view: memoryview) -> int:
        """Put the next bytes into `view`; return how many, 0 at the end. See `ByteStream.read_into`."""
        while self._skip:
            skipped = self._response.read_into(view[: self._skip])
            if not skipped:
                return 0
            self._skip -= skipped
        count = self._response.read_into(view[: self._left]) if self._left else 0
        self._left -= count
        return count


def _checked(response: Response, file: RemoteFile, start: int, end: int, *, source: str) -> HubStream:
    """Return the stream of a good answer; raise for one that is not what was asked for, see `Source.open`."""
    if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise WrongBytes(
            "{path}: {source} sent it compressed although that was refused.",
            hint="A proxy on the way may do that: try another network, or the other hub.",
            path=file.path,
            source=source,
        )
    if response.status == 200:
        _check_whole(response, file, source)
        return HubStream(response, is_ranged=(start, end) == (0, file.size), skip=start, length=end - start)
    _check_range(response, file, start, source)
    return HubStream(response, is_ranged=True, skip=0, length=end - start)


def _check_whole(response: Response, file: RemoteFile, source: str) -> None:
    length = response.headers.get("content-length", "")
    if not length.isascii() or not length.isdigit():  # chunked, or until the connection closes
        if response.headers.get("content-type", "").strip().lower().startswith("text/html"):
            raise WrongBytes(
                "{path}: {source} sent a web page instead of the file.",
                hint="If this network has a login page, open it in a browser first; else try again later.",
                path=file.path,
                source=source,
            )
        return  # the digest decides
    if int(length) != file.size:
        raise WrongBytes(
            "{path}: {source} sent {size:,} bytes where its listing has {listed:,}.",
            hint="If this network has a login page, open it in a browser first; else try again later.",
            path=file.path,
            source=source,
            size=int(length),
            listed=file.size,
        )


def _check_range(response: Response, file: RemoteFile, start: int, source: str) -> None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if match is None or int(match[1]) != start:
        raise WrongBytes("{path}: {source} sent another range than it was asked for.", path=file.path, source=source)
    if match[3] != "*" and int(match[3]) != file.size:
        raise WrongBytes(
            "{path}: {source} now has {size:,} bytes where its listing has {listed:,}.",
            path=file.path,
            source=source,
            size=int(match[3]),
            listed=file.size,
        )


def _refusal(response: Response, file: RemoteFile, source: str, *, is_store: bool) -> Qwen3ftError:
    status = response.status
    if status in TRANSIENT_STATUSES:
        return busy(source, status, response.headers.get("retry-after"))
    if status in {401, 403}:
        reason = reason_of(response.headers, response.beginning())
        return file_refused(file.path, source, status, reason, is_store=is_store)
    if status in {404, 410}:
        return ModelNotFound(
            "{path}: {source} lists it but does not have it (HTTP {status}).",
            path=file.path,
            source=source,
            status=status,
        )
    if status == 416:
        return WrongBytes("{path}: {source} has a shorter file than its listing says.", path=file.path, source=source)
    reason = reason_of(response.headers, response.beginning())
    return SourceFailed(
        '{path}: {source} answered HTTP {status}: "{reason}".'
        if reason
        else "{path}: {source} answered HTTP {status}.",
        hint=STAYS if status in FINAL_STATUSES else "",
        details={"cause": "status"},
        path=file.path,
        source=source,
        status=status,
        reason=reason.rstrip("."),
    )
