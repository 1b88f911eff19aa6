"""A hub over loopback whose files and faults a test writes; used by the tests of transfer and of cache."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from qwen3ft_jupyter.errors import ModelNotFound
from qwen3ft_jupyter.hubs.listing import HUB_LABELS, Listing, RemoteFile, Request
from qwen3ft_jupyter.hubs.names import RepoId, SafePath, Sha256
from qwen3ft_jupyter.transfer.journal import held
from qwen3ft_jupyter.transfer.pieces import Span, SpanSet
from qwen3ft_jupyter.work import Progress, Reporter
from tests.jobs.following import wait_until
from tests.servers import Reply, ScriptedServer, Seen, file_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from qwen3ft_jupyter.settings.declared import HubName

    Fault = Callable[[Seen, int], Reply | None]
    """Gets a request and how many came before it for the same path; answers, or leaves it to the store."""

REPO = RepoId("Qwen/Qwen3-Test")
COMMIT = "c" * 40


def bytes_of(size: int, seed: int = 0) -> bytes:
    """Return bytes that do not repeat within a piece."""
    block = hashlib.shake_256(seed.to_bytes(8, "big")).digest(min(size, 1 << 16))
    parts = [block[number & 0xFF :] + block[: number & 0xFF] for number in range(-(-size // max(1, len(block))))]
    return b"".join(part[:-8] + number.to_bytes(8, "big") for number, part in enumerate(parts))[:size] if size else b""


def wait_until_given_back(folder: Path) -> None:
    """Return when the threads that a stopped download may have left behind have given up its partials there."""
    wait_until(lambda: not any(Path(path).is_relative_to(folder) for path in held.copy()))


def remote(path: str, data: bytes, *, by_git: bool = False) -> RemoteFile:
    """Return how a hub lists `data`."""
    git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    sha256 = Sha256(hashlib.sha256(data).hexdigest())
    return RemoteFile(SafePath(path), len(data), None if by_git else sha256, git if by_git else None)


class Origin:
    """A hub and its server in one; implements `Hub`."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        fault: Fault | None = None,
        name: HubName = "modelscope",
        commit: str = COMMIT,
        by_git: bool = False,
    ) -> None:
        self.files = dict(files)
        self.fault = fault
        self.name: HubName = name
        self.label = HUB_LABELS[name]
        self.head = commit
        self.by_git = by_git
        self.listings_asked = 0
        self.commits_asked = 0
        self.error: Exception | None = None
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.server = ScriptedServer(self._answer)

    @property
    def endpoint(self) -> str:
        return self.server.url

    def listing(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> Listing:  # noqa: ARG002
        self.listings_asked += 1
        if self.error is not None:
            raise self.error
        if repo_id != REPO:
            raise ModelNotFound(f"{repo_id} is not here.")
        files = tuple(remote(path, data, by_git=self.by_git) for path, data in self.files.items())
        return Listing(repo_id, self.name, revision or "master", self.head, files)

    def commit(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> str:  # noqa: ARG002
        self.commits_asked += 1
        if self.error is not None:
            raise self.error
        return self.head

    def file_request(self, listing: Listing, file: RemoteFile) -> Request:  # noqa: ARG002
        return Request(f"{self.server.url}/{quote(file.path)}", {})

    def ranges(self, path: str) -> list[tuple[int, int]]:
        """Return what was asked of a file so far, as start and end."""
        size = len(self.files[path])
        asked = [seen.range or (0, size - 1) for seen in self.server.seen if seen.path == f"/{path}"]
        return [(first, size if last is None else last + 1) for first, last in asked]

    def spans_asked(self, path: str, *, since: int = 0) -> list[Span]:
        """Return which bytes of a file were asked for, from its `since`-th request on, each counted once.

        A sum of the ranges says nothing: a connection that ends last is relieved of the end of its range by another,
        which asks for that anew, while the first one stops before it. On a busy machine any connection may be the last.
        """
        return list(SpanSet(Span(*asked) for asked in self.ranges(path)[since:]))

    def bytes_asked(self, path: str, *, since: int = 0) -> int:
        """Return how many different bytes of a file were asked for; see `spans_asked`."""
        return sum(span.length for span in self.spans_asked(path, since=since))

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)

    def _answer(self, request: Seen) -> Reply:
        with self._lock:
            count = self._counts[request.path]
            self._counts[request.path] += 1
        if self.fault is not None and (reply := self.fault(request, count)) is not None:
            return reply
        data = self.files.get(request.path.removeprefix("/"))
        return Reply(404) if data is None else file_reply(request, data)


class Recorder(Reporter):
    """Keeps what it is told, and lets a test wait for something."""

    def __init__(self) -> None:
        self.events: list[Progress] = []
        self.notices: list[str] = []
        self._changed = threading.Condition()

    def progress(self, progress: Progress) -> None:
        with self._changed:
            self.events.append(progress)
            self._changed.notify_all()

    def notice(self, message: str) -> None:
        with self._changed:
            self.notices.append(message)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[Recorder], bool], limit_s: float = 60.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), limit_s), "it did not happen"

    def wait_for_bytes(self, count: int) -> None:
        """Return when so many bytes are told to have arrived."""
        self.wait_for(lambda told: any(event.done >= count for event in told.events))

    def phases(self) -> list[str]:
        """Return the phases in the order in which they began."""
        return list(dict.fromkeys(event.phase for event in self.events))


class Interrupter(Recorder):
    """Does something else once, when a phase shows its first progress: what others may do at the same time."""

    def __init__(self, phase: str, action: Callable[[], object]) -> None:
        super().__init__()
        self._phase = phase
        self._action: Callable[[], object] | None = action

    def progress(self, progress: Progress) -> None:
        super().progress(progress)
        if progress.phase == self._phase and self._action is not None:
            action, self._action = self._action, None
            action()
