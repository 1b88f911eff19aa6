"""A hub and its store on loopback, in either protocol, whose every answer a test may replace; and what came of it.

Small files come from the hub itself; `LARGE` is redirected to the store by an address with a signature, as on the real
hubs. Whatever a test plays, `Stage` then holds it to one of two outcomes: the right bytes, or an error of ours with
nothing wrong visible and nothing lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.huggingface import HuggingFaceHub
from qwen3ft_jupyter.hubs.modelscope import ModelScopeHub
from qwen3ft_jupyter.hubs.retry import RetryPolicy
from tests.download.asking import ensure_model
from tests.servers import Reply, ScriptedServer, Seen, file_reply, json_reply, redirect
from tests.transfer.origin import REPO, Recorder, bytes_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from qwen3ft_jupyter.download.apply import Ensured
    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.hubs.listing import Hub
    from qwen3ft_jupyter.settings.declared import HubName

    Fault = Callable[[Seen, int], Reply | None]
    """Gets a request and how many came before it for the same thing; answers, or leaves it to the hub."""

LARGE = "model.safetensors"
DATA = bytes_of(3 << 20, 1)
FILES: Mapping[str, bytes] = {"config.json": b'{"model_type": "qwen3"}', LARGE: DATA, "sub/notes.txt": b"notes"}
SIZE = sum(map(len, FILES.values()))
COMMIT = "c" * 40
TOKEN = "made-up-token"
POLICY = RetryPolicy(attempts=3, first_delay_s=0.01, max_delay_s=0.02)


def git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def modelscope_listing(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    return [
        {"Path": path, "Type": "blob", "Size": len(data), "Sha256": hashlib.sha256(data).hexdigest()}
        for path, data in files.items()
    ]


def huggingface_listing(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    entries = []
    for path, data in files.items():
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": git_digest(data)}
        if path == LARGE:
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 135}
        entries.append(entry)
    return entries


def part(seen: Seen, data: bytes = DATA) -> tuple[int, int]:
    """Return the start and end of what was asked of a file."""
    first, last = seen.range or (0, None)
    return first, len(data) if last is None else last + 1


def head_of(start: int, end: int, *, length: int | None = None, size: int = len(DATA)) -> dict[str, str]:
    """Return the headers of a range, as they should be, or with another length."""
    return {
        "Content-Range": f"bytes {start}-{end - 1}/{size}",
        "Content-Length": str(end - start if length is None else length),
    }


class Stage:
    """One hub, its store, a cache, and the faults between them."""

    def __init__(
        self, folder: Path, protocol: HubName = "modelscope", *, tls: Mapping[str, ssl.SSLContext] | None = None
    ) -> None:
        """Args: where the cache may be, the protocol, and contexts for "hub" and "store" where they speak TLS."""
        tls = tls or {}
        self.protocol: HubName = protocol
        self.cache = ModelCache(folder / "cache")
        self.files = dict(FILES)
        """What the hub has."""
        self.at_store: Fault | None = None
        self.at_hub: Fault | None = None
        """Is asked about files only."""
        self.at_listing: Fault | None = None
        self.told = Recorder()
        self.hub = ScriptedServer(self._counted(self._answer_hub), tls=tls.get("hub"))
        self.store = ScriptedServer(self._counted(self._answer_store), tls=tls.get("store"))
        self.hub_url = ""
        """Where clients find the hub and the store, if not at their own addresses."""
        self.store_url = ""
        self._folder = folder

    def __enter__(self) -> Self:
        self.hub.__enter__()
        self.store.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.__exit__(kind, error, trace)
        self.hub.__exit__(kind, error, trace)
        if error is None:
            assert not any({"authorization", "cookie"} & seen.headers.keys() for seen in self.store.seen)
            assert {path.name for path in self._folder.iterdir()} <= {"cache"}, "something was written outside"

    def calm(self) -> None:
        """End all faults."""
        self.at_store = self.at_hub = self.at_listing = None

    def make_hub(self) -> Hub:
        kind = ModelScopeHub if self.protocol == "modelscope" else HuggingFaceHub
        return kind(HttpClient(chance=lambda: 0.0), self.hub_url or self.hub.url, TOKEN)

    def ensure(self, *, stop: threading.Event | None = None, policy: RetryPolicy = POLICY) -> Ensured:
        return ensure_model(
            self.cache,
            {self.protocol: self.make_hub()},
            REPO,
            order=[self.protocol],
            max_connections=4,
            policy=policy,
            reporter=self.told,
            stop=stop,
        )

    # The two outcomes

    def succeeds(self, *, policy: RetryPolicy = POLICY) -> Ensured:
        """Download, and hold the result to every byte."""
        ensured = self.ensure(policy=policy)
        assert ensured.model.is_verified
        folder = ensured.model.folder
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        assert {
            name: path.read_bytes() for name, path in found.items() if not name.startswith(".qwen3ft/")
        } == self.files
        return ensured

    def fails(
        self, kind: type[Qwen3ftError], match: str, *, kept: int | None = None, policy: RetryPolicy = POLICY
    ) -> Qwen3ftError:
        """Download in vain; hold the failure to its type and message, to an empty cache, and to what is kept.

        `kept` is the least number of bytes the next attempt must not fetch again, once the faults have ended; None
        leaves out that attempt.
        """
        first = self.after_small_files() if kept else contextlib.nullcontext()
        with first, pytest.raises(kind, match=match) as caught:
            self.ensure(policy=policy)
        assert self.cache.list() == []
        assert self.cache.find(REPO) is None
        self._shows_no_secret(caught.value)
        if kept is not None:
            self.calm()
            assert self.succeeds().bytes_fetched <= SIZE - kept
        return caught.value

    @contextlib.contextmanager
    def after_small_files(self) -> Iterator[None]:
        """Let the store answer only when all other files are there, so that it is known what has to be kept."""
        fault = self.at_store
        assert fault is not None

        def later(seen: Seen, count: int) -> Reply | None:
            self.told.wait_for_bytes(SIZE - len(DATA))
            return fault(seen, count)

        self.at_store = later
        yield

    def _shows_no_secret(self, error: Qwen3ftError) -> None:
        shown = " ".join([*error.to_dict().values(), *error.details.values(), *self.told.notices])
        assert TOKEN not in shown
        assert "signature" not in shown
        assert str(self._folder) not in " ".join(error.to_dict().values())

    # What the hub answers

    @staticmethod
    def _counted(answer: Callable[[Seen, int], Reply]) -> Callable[[Seen], Reply]:
        counts: Counter[str] = Counter()
        lock = threading.Lock()

        def count(seen: Seen) -> Reply:
            with lock:
                number = counts[key := seen.path + seen.query.get("FilePath", "")]
                counts[key] += 1
            return answer(seen, number)

        return count

    def _answer_hub(self, seen: Seen, count: int) -> Reply:
        path = self._file_asked(seen)
        if path is None:
            fault = self.at_listing and self.at_listing(seen, count)
            return fault or self._answer_question(seen)
        if self.at_hub is not None and (reply := self.at_hub(seen, count)) is not None:
            return reply
        if path == LARGE:
            return redirect(f"{self.store_url or self.store.url}/{path}?signature={count}")
        return file_reply(seen, self.files[path]) if path in self.files else Reply(404)

    def _file_asked(self, seen: Seen) -> str | None:
        if seen.path.endswith("/repo"):
            return seen.query.get("FilePath", "")
        _, found, path = seen.path.partition(f"/{REPO}/resolve/{COMMIT}/")
        return path if found else None

    def _answer_question(self, seen: Seen) -> Reply:
        if seen.path.endswith(".git/info/refs"):
            line = f"{COMMIT} refs/heads/master\n"
            return Reply(200, f"{len(line) + 4:04x}{line}0000".encode())
        if seen.path.endswith("/repo/files"):
            return json_reply({"Code": 200, "Success": True, "Data": {"Files": modelscope_listing(self.files)}})
        if "/revision/" in seen.path:
            return json_reply({"sha": COMMIT, "gated": False})
        if "/tree/" in seen.path:
            return json_reply(huggingface_listing(self.files))
        return Reply(404)

    def _answer_store(self, seen: Seen, count: int) -> Reply:
        if self.at_store is not None and (reply := self.at_store(seen, count)) is not None:
            return reply
        return file_reply(seen, self.files[seen.path[1:]])


def is_listing(seen: Seen) -> bool:
    """Return whether a request asks for the list of files."""
    return seen.path.endswith("/repo/files") or "/tree/" in seen.path


def lists(stage: Stage, entries: list[dict[str, Any]]) -> None:
    """Have the hub list `entries`."""
    body: Any = (
        {"Code": 200, "Success": True, "Data": {"Files": entries}} if stage.protocol == "modelscope" else entries
    )
    stage.at_listing = lambda seen, _count: json_reply(body) if is_listing(seen) else None


def shorten_silence(monkeypatch: pytest.MonkeyPatch, idle_s: float) -> None:
    """Have clients made from now on take this much silence for a stall, while they connect too."""
    defaults = HttpClient.__init__.__kwdefaults__
    assert defaults is not None
    for name in ("idle_timeout_s", "connect_timeout_s"):
        monkeypatch.setitem(defaults, name, idle_s)


class RawServer:
    """A server on loopback that says to each connection what a test wants, whether it is HTTP or not."""

    def __init__(self, speak: Callable[[socket.socket, threading.Event], None]) -> None:
        """Args: what to do with a connection; the event is set when the server closes."""
        self._speak = speak
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_closed = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # clients hang up
            self._speak(connection, self._is_closed)

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
