"""Many clients at once, too many, and those that do nothing."""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import itertools
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from qwen3ft_jupyter.mirror import connections, library, sending
from qwen3ft_jupyter.mirror.connections import Connections
from qwen3ft_jupyter.mirror.mirror import Mirror
from tests.lived import Lived
from tests.mirror.conftest import REPO, WEIGHTS, ask, fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEIGHTS_HF = f"/{REPO}/resolve/main/model.safetensors"
CLIENTS = 200
PART = 2 << 20
BIG = 64 << 20
"""More than socket buffers take."""


def connect(mirror: Mirror) -> socket.socket:
    parts = urlsplit(mirror.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=120)


def asked(mirror: Mirror, headers: str = "") -> socket.socket:
    """Return a connection over which the weights have been asked for."""
    connection = connect(mirror)
    connection.sendall(f"GET {WEIGHTS_HF} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
    return connection


def head_of(connection: socket.socket) -> bytes:
    """Return the head of the answer, and leave the body where it is."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return head
        head += byte
    return head


def download(mirror: Mirror) -> socket.socket:
    """Return a connection over which the weights are coming."""
    connection = asked(mirror)
    assert head_of(connection).startswith(b"HTTP/1.1 200")
    return connection


def drained(connection: socket.socket) -> int:
    """Return how many bytes come until the connection ends."""
    received = 0
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(1 << 18):
            received += len(data)
    return received


def drain(connections: dict[socket.socket, bytearray], length: int) -> None:
    """Read `length` bytes from each connection, from all of them in turns."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(30)
            assert ready, "nobody is served any more"
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                received = connections[key.fileobj]
                data = key.fileobj.recv(min(1 << 18, length - len(received)))
                received += data
                if not data or len(received) == length:
                    selector.unregister(key.fileobj)


def test_two_hundred_connections_are_served_at_once_each_its_own_part(mirror: Mirror) -> None:
    with contextlib.ExitStack() as stack:
        starts = {}
        for number in range(CLIENTS):
            start = number * 30_000
            headers = f"Range: bytes={start}-{start + PART - 1}\r\n"
            starts[stack.enter_context(contextlib.closing(asked(mirror, headers)))] = start
        heads = [head_of(connection) for connection in starts]
        assert mirror._server is not None
        open_at_once = len(mirror._server.connections)
        received = {connection: bytearray() for connection in starts}
        drain(received, PART)

    assert {head.split(b" ")[1] for head in heads} == {b"206"}
    assert open_at_once == CLIENTS
    assert all(received[connection] == WEIGHTS[start : start + PART] for connection, start in starts.items())


@pytest.fixture
def big(tmp_path: Path) -> Iterator[Mirror]:
    """A mirror of a file that no socket buffer takes whole, with room for two."""
    folder = tmp_path / "big"
    folder.mkdir()
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(BIG)
    with Mirror({REPO: folder}, max_connections=2) as mirror:
        yield mirror


def wait_idle(mirror: Mirror, count: int) -> bool:
    """Return whether so many connections wait for a request, within some seconds."""
    assert mirror._server is not None
    connections = mirror._server.connections
    with connections._changed:
        return connections._changed.wait_for(
            lambda: sum(entry.idle_since is not None for entry in connections._open.values()) == count, 20
        )


def test_an_idle_connection_makes_room_for_a_new_one(model_folder: Path) -> None:
    with Mirror({REPO: model_folder}, max_connections=4) as mirror, contextlib.ExitStack() as stack:
        assert mirror._server is not None
        idle = []
        for count in range(1, 5):
            idle.append(stack.enter_context(connect(mirror)))
            idle[-1].sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert idle[-1].recv(4096).startswith(b"HTTP/1.1 200")
            assert wait_idle(mirror, count)

        assert ask(mirror.url, "/").status == 200
        assert idle[0].recv(1) == b""  # the one idle longest had to go


def test_a_connection_that_has_just_come_is_not_the_one_that_makes_room(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request may be on its way; who has had an answer makes room."""
    monkeypatch.setattr(connections, "FRESH_S", 5.0)
    with (
        Mirror({REPO: model_folder}, max_connections=2) as mirror,
        contextlib.closing(connect(mirror)) as first,
        contextlib.closing(connect(mirror)) as second,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        assert wait_idle(mirror, 2)
        third = pool.submit(ask, mirror.url, "/")
        time.sleep(0.2)  # so that the third has come to the door
        first.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

        assert head_of(first).startswith(b"HTTP/1.1 200")
        assert third.result(120).status == 200
        second.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert head_of(second).startswith(b"HTTP/1.1 200")


def test_beyond_the_connections_that_work_clients_are_asked_to_come_back(big: Mirror) -> None:
    with download(big), download(big):
        answer = ask(big.url, "/")

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_closing_is_quick_even_with_a_download_under_way(tmp_path: Path, big: Mirror) -> None:
    others = set(threading.enumerate())  # tests that ran before may have left some
    with download(big) as connection:
        own = [one for one in threading.enumerate() if "process_request" in one.name and one not in others]
        with Lived() as lived:
            big.__exit__(None, None, None)
        received = drained(connection)

    assert lived.seconds < 3
    assert received < BIG
    assert own
    for thread in own:
        thread.join(120)
        assert not thread.is_alive()


def test_a_file_cut_while_it_is_sent_breaks_off(tmp_path: Path, big: Mirror) -> None:
    with download(big) as connection:
        os.truncate(tmp_path / "big" / "model.safetensors", 1 << 20)
        received = drained(connection)

    assert received < BIG


def test_a_file_written_to_while_it_is_sent_breaks_off(tmp_path: Path, big: Mirror) -> None:
    with download(big) as connection:
        with (tmp_path / "big" / "model.safetensors").open("r+b") as file:
            file.seek(50 << 20)
            file.write(b"other bytes")
        received = drained(connection)

    assert received < BIG


def test_whoever_is_turned_away_gets_a_whole_answer_even_after_a_long_request(big: Mirror) -> None:
    """A connection closed on unread bytes is reset, which would destroy the answer."""
    with download(big), download(big), concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(big.url, "/", X_Long="x" * 15_000), range(20)))

    assert {(answer.status, answer.headers["retry-after"]) for answer in answers} == {(503, "1")}


def test_clients_that_never_rest_make_room_for_those_turned_away(big: Mirror) -> None:
    """Their connection closes after the answer, and the next one that comes finds a place."""
    with download(big) as one, download(big):
        one.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")  # so that it does not rest after this answer
        turned_away = ask(big.url, "/")
        received = {one: bytearray()}
        drain(received, BIG)
        last = head_of(one)
        now = ask(big.url, "/")

    assert turned_away.status == 503
    assert b"Connection: close" in last
    assert now.status == 200


def pair() -> socket.socket:
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours


def test_only_the_machine_with_more_than_its_share_makes_room() -> None:
    connections = Connections(4)
    many, few, newcomer = [pair() for _ in range(3)], pair(), pair()
    with contextlib.ExitStack() as stack:
        for one in (*many, few, newcomer):
            stack.enter_context(one)
        taken = [connections.opens(one, "10.0.0.1") for one in many] + [connections.opens(few, "10.0.0.2")]
        before = connections.makes_room(many[0])
        is_taken = connections.opens(newcomer, "10.0.0.3")

        yields = [connections.makes_room(one) for one in (few, many[0], many[1])]

    assert (taken, before, is_taken) == ([True] * 4, False, False)
    assert yields == [False, True, False]  # one was turned away, so one makes room


def test_nobody_makes_room_for_a_client_that_has_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwen3ft_jupyter.mirror.connections.TURNED_AWAY_S", -1.0)
    connections = Connections(1)
    with pair() as one, pair() as newcomer:
        assert connections.opens(one, "10.0.0.1")
        assert not connections.opens(newcomer, "10.0.0.1")

        assert not connections.makes_room(one)


def test_a_client_that_takes_almost_nothing_is_given_up(big: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "WINDOW_S", 0.3)
    monkeypatch.setattr(sending, "MIN_BYTES", 32 << 20)
    assert big._server is not None

    with download(big) as slow:
        assert big._server.connections.wait_empty(120)
        with contextlib.suppress(ConnectionError):
            assert len(deque(iter(lambda: slow.recv(1 << 20), b""))) < 64


def test_a_slow_client_that_takes_enough_is_served_to_the_end(big: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the mirror's clock, a window passes whenever it has waited for the client, however long that was."""
    seconds = itertools.count()

    class Patient(selectors.DefaultSelector):
        def select(self, _timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            return super().select(120)

    monkeypatch.setattr(sending, "time", SimpleNamespace(monotonic=seconds.__next__))
    monkeypatch.setattr(sending, "_Selector", Patient)
    monkeypatch.setattr(sending, "WINDOW_S", 2.0)
    monkeypatch.setattr(sending, "MIN_BYTES", 1)
    received = 0

    with asked(big) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        head_of(slow)
        while received < BIG:
            time.sleep(0.01)
            data = slow.recv(1 << 20)
            assert data, "it was given up"
            received += len(data)

    assert next(seconds) > 2 * sending.WINDOW_S, "windows have passed"


def test_requests_that_never_end_keep_nobody_out(model_folder: Path) -> None:
    """Slow loris: half a request is worth no more than none."""
    with Mirror({REPO: model_folder}, max_connections=8) as mirror, contextlib.ExitStack() as stack:
        assert mirror._server is not None
        for _ in range(8):
            loris = stack.enter_context(contextlib.closing(connect(mirror)))
            loris.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert wait_idle(mirror, 8)

        statuses = {ask(mirror.url, "/").status for _ in range(20)}

    assert statuses == {200}


def test_with_few_threads_clients_wait_for_one(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may have some dozens; the next connection waits for one to end, and an idle one makes room."""
    start = threading.Thread.start
    ours = threading.main_thread(), *threading.enumerate()

    def start_few(thread: threading.Thread) -> None:
        if "mirror-full" in thread.name or "process_request" in thread.name:
            busy = [one for one in threading.enumerate() if "process_request" in one.name and one not in ours]
            if "mirror-full" in thread.name or len(busy) >= 4:
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_few)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(contextlib.closing(connect(mirror)))  # and says nothing
        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            answers = list(pool.map(lambda _: ask(mirror.url, WEIGHTS_HF, Connection="close"), range(30)))

    assert {(answer.status, answer.body == WEIGHTS) for answer in answers} == {(200, True)}


def test_a_machine_without_descriptors_is_no_reason_to_call_a_file_damaged(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(library, "_open", refuse)

    answer = ask(mirror.url, WEIGHTS_HF)

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


CHILD = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[2])))
from qwen3ft_jupyter.mirror import server
from qwen3ft_jupyter.mirror.mirror import Mirror
server.SPARE_DESCRIPTORS = int(sys.argv[3])
with Mirror({sys.argv[4]: Path(sys.argv[1])}) as mirror:
    print(mirror.url, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def limited_mirror(folder: Path, descriptors: int, spare: int) -> Iterator[str]:
    """Run a mirror in a process that may have so many file descriptors and no more."""
    command = [sys.executable, "-c", CHILD, str(folder), str(descriptors), str(spare), REPO]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        with child.stdin:
            yield child.stdout.readline().strip()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize("spare", [64, 0], ids=["known", "unforeseen"])
def test_with_few_file_descriptors_some_wait_and_none_is_told_that_a_file_is_damaged(
    tmp_path: Path, spare: int
) -> None:
    """Where the limit is known, connections are fewer; where it is reached all the same, that passes."""
    folder = fill(tmp_path / "model", {"model.safetensors": WEIGHTS})
    statuses: list[int] = []
    lock = threading.Lock()

    def fetch(_: int) -> None:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                answer = ask(url, WEIGHTS_HF)
                with lock:
                    statuses.append(answer.status)
                if answer.status == 200:
                    assert answer.body == WEIGHTS
                    return
        raise AssertionError("never served")

    with limited_mirror(folder, 100, spare) as url, concurrent.futures.ThreadPoolExecutor(80) as pool:
        list(pool.map(fetch, range(80)))

    assert statuses.count(200) == 80
    assert set(statuses) <= {200, 503}
