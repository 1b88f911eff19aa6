"""A hub as a source of bytes: ranged requests over the HTTP client, every answer checked before it is believed."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import AccessDenied, ModelNotFound, Qwen3ftError, SourceFailed, WrongBytes
from qwen3ft_jupyter.hubs.listing import HUB_LABELS
from qwen3ft_jupyter.hubs.retry import TRANSIENT_STATUSES, busy

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from qwen3ft_jupyter.hubs.http import HttpClient, Response
    from qwen3ft_jupyter.hubs.listing import Hub, Listing, RemoteFile

SKIP_BYTES: Final = 1 << 20
"""One read while the front of a file is thrown away."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)


class HubSource:
    """The files of one listing, from the hub that gave it."""

    def __init__(self, hub: Hub, listing: Listing, client: HttpClient) -> None:
        self._hub = hub
        self._listing = listing
        self._client = client
        self._by_digest: dict[str, RemoteFile] = {}
        for file in listing.files:
            for digest in (file.sha256, file.git_sha1):
                if digest:
                    self._by_digest[digest] = file

    @property
    def name(self) -> str:
        """Return what the hub is called in front of a person."""
        return HUB_LABELS[self._hub.name]

    def has(self, file: RemoteFile) -> bool:
        """Return whether the listing has these bytes, under any path."""
        return self._find(file) is not None

    @contextlib.contextmanager
    def open(self, file: RemoteFile, start: int, end: int, *, stop: threading.Event) -> Iterator[HubStream]:
        """Ask for the bytes of `file` from `start` up to `end`; see `Source.open`."""
        own = self._find(file)
        if own is None:
            raise SourceFailed(f"{file.path}: {self.name} does not list it.")
        request = self._hub.file_request(self._listing, own)
        headers = dict(request.headers)
        if (start, end) != (0, file.size):  # whole files need no range, which some mirrors get wrong
            headers["Range"] = f"bytes={start}-{end - 1}"
        with self._client.open(request.url, headers=headers, stop=stop) as response:
            yield _checked(response, file, start, end, source=self.name)

    def _find(self, file: RemoteFile) -> RemoteFile | None:
        found = self._by_digest.get(file.sha256 or "") or self._by_digest.get(file.git_sha1 or "")
        return found if found is not None and found.size == file.size else None


class HubStream:
    """The body of a checked answer, cut to the range that was asked for."""

    def __init__(self, response: Response, *, is_ranged: bool, skip: int, length: int) -> None:
        self.is_ranged = is_ranged
        """Whether the hub started at the range; else the front of the file is read and thrown away."""
        self._response = response
        self._skip = skip
        self._left = length

    def read(self, limit: int) -> bytes:
        """Return up to `limit` bytes as soon as some are there; empty at the end. See `ByteStream.read`."""
        while self._skip:
            skipped = len(self._response.read(min(SKIP_BYTES, self._skip)))
            if not skipped:
                return b""
            self._skip -= skipped
        data = self._response.read(min(limit, self._left)) if self._left else b""
        self._left -= len(data)
        return data


def _checked(response: Response, file: RemoteFile, start: int, end: int, *, source: str) -> HubStream:
    """Return the stream of a good answer; raise for any other, see `Source.open`."""
    if response.status not in {200, 206}:
        raise _refusal(response, file, source)
    if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise WrongBytes(f"{file.path}: {source} sent it compressed although that was refused.")
    if response.status == 200:
        _check_whole(response, file, source)
        return HubStream(response, is_ranged=(start, end) == (0, file.size), skip=start, length=end - start)
    _check_range(response, file, start, source)
    return HubStream(response, is_ranged=True, skip=0, length=end - start)


def _check_whole(response: Response, file: RemoteFile, source: str) -> None:
    length = response.headers.get("content-length", "")
    if not length.isascii() or not length.isdigit():
        return  # chunked, or until the connection closes: the digest decides
    if int(length) != file.size:
        raise WrongBytes(
            f"{file.path}: {source} sent {int(length):,} bytes where its listing has {file.size:,}.",
            hint="If this network has a login page, open it in a browser first; else try again later.",
        )


def _check_range(response: Response, file: RemoteFile, start: int, source: str) -> None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if match is None or int(match[1]) != start:
        raise WrongBytes(f"{file.path}: {source} sent another range than it was asked for.")
    if match[3] != "*" and int(match[3]) != file.size:
        raise WrongBytes(f"{file.path}: {source} now has {int(match[3]):,} bytes where its listing has {file.size:,}.")


def _refusal(response: Response, file: RemoteFile, source: str) -> Qwen3ftError:
    status = response.status
    if status in TRANSIENT_STATUSES:
        return busy(source, status, response.headers.get("retry-after"))
    if status in {401, 403}:
        return AccessDenied(
            f"{file.path}: {source} refuses it (HTTP {status}).",
            hint="Check your token, and that you accepted the model's licence on its page.",
        )
    if status in {404, 410}:
        return ModelNotFound(f"{file.path}: {source} lists it but does not have it (HTTP {status}).")
    if status == 416:
        return WrongBytes(f"{file.path}: {source} has a shorter file than its listing says.")
    return SourceFailed(f"{file.path}: {source} answered HTTP {status}.")
