from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import HubBusy, HubUnreachable, ModelNotFound, WrongBytes
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile, Request
from qwen3ft_jupyter.transfer import hub_source
from qwen3ft_jupyter.transfer.hub_source import TARGET_AGE_S, HubSource
from tests.servers import ABORT, Reply, ScriptedServer, Seen, file_reply, redirect
from tests.transfer.origin import REPO, Origin, bytes_of, remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA = bytes_of(100_000, 1)
FILE = remote("model.safetensors", DATA)
TOKEN = {"Authorization": "Bearer made-up", "Cookie": "m_session_id=made-up"}
REGION = {"x-aliyun-region-id": "cn-hangzhou"}


class Redirecting(Origin):
    """A hub that redirects to a store on another port, by an address with a signature."""

    def __init__(self, store: Callable[[Seen], Reply] | None = None, *, shortcut: dict[str, str] | None = None) -> None:
        self.store = ScriptedServer(store or (lambda seen: file_reply(seen, DATA)))
        self.shortcut = shortcut or {}
        super().__init__({}, fault=self.sign)

    def sign(self, seen: Seen, count: int) -> Reply:
        return redirect(f"{self.store.url}{seen.path}?signature={count}")

    def file_request(self, listing: Listing, file: RemoteFile) -> Request:  # noqa: ARG002
        return Request(f"{self.server.url}/{file.path}", TOKEN, self.shortcut)

    def asked(self) -> tuple[int, int]:
        """Return how many requests reached the hub and its store."""
        return len(self.server.seen), len(self.store.seen)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Reader:
    """Reads pieces of one file from one source."""

    def __init__(self, hub: Origin, client: HttpClient, *files: RemoteFile) -> None:
        self.clock = Clock()
        listing = Listing(REPO, "modelscope", "master", "", files or (FILE,))
        self.source = HubSource(hub, listing, client, clock=self.clock)

    def __call__(self, start: int, end: int, file: RemoteFile = FILE) -> bytes:
        with self.source.open(file, start, end, stop=threading.Event()) as stream:
            body, view = b"", memoryview(bytearray(1 << 20))
            while count := stream.read_into(view):
                body += view[:count]
            return body


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient(idle_timeout_s=5.0)
    yield client
    client.close()


def test_the_hub_is_asked_once_for_all_pieces_of_a_file(client: HttpClient) -> None:
    with Redirecting() as hub, hub.store:
        read = Reader(hub, client)

        assert b"".join(read(start, start + 10_000) for start in range(0, 100_000, 10_000)) == DATA
        assert hub.asked() == (1, 10)
        assert [seen.range for seen in hub.store.seen][1] == (10_000, 19_999)


def test_nothing_but_the_range_is_sent_to_the_store(client: HttpClient) -> None:
    with Redirecting(shortcut=REGION) as hub, hub.store:
        read = Reader(hub, client)
        read(0, 10)
        read(10, 20)

        assert hub.server.seen[0].headers["authorization"] == "Bearer made-up"
        for seen in hub.store.seen:
            assert not {"authorization", "cookie"} & seen.headers.keys()
        assert set(hub.store.seen[1].headers) == {"host", "user-agent", "accept-encoding", "range"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416])
def test_an_address_that_has_expired_is_asked_for_anew_within_the_same_attempt(client: HttpClient, status: int) -> None:
    def store(seen: Seen) -> Reply:
        return Reply(status) if seen.query["signature"] == "0" and len(hub.store.seen) > 1 else file_reply(seen, DATA)

    hub = Redirecting(store)
    with hub, hub.store:
        read = Reader(hub, client)

        assert [read(0, 10), read(10, 20), read(20, 30)] == [DATA[0:10], DATA[10:20], DATA[20:30]]
        assert hub.asked() == (2, 4)


@pytest.mark.parametrize("status", [403, 404])
def test_a_store_that_refuses_twice_refuses(client: HttpClient, status: int) -> None:
    def store(seen: Seen) -> Reply:
        return Reply(status) if len(hub.store.seen) > 1 else file_reply(seen, DATA)

    hub = Redirecting(store)
    with hub, hub.store:
        read = Reader(hub, client)
        read(0, 10)

        with pytest.raises(Exception, match=f"HTTP {status}"):
            read(10, 20)
        assert hub.asked() == (2, 3)


def test_a_store_that_has_gone_is_looked_for_anew(client: HttpClient) -> None:
    with Redirecting() as hub:
        read = Reader(hub, client)
        with hub.store:
            read(0, 10)
        with ScriptedServer(lambda seen: file_reply(seen, DATA)) as second:
            hub.fault = lambda seen, _count: redirect(f"{second.url}{seen.path}")

            assert read(10, 20) == DATA[10:20]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Reply(503), HubBusy),
        (Reply(429, b"", {"Retry-After": "3"}), HubBusy),
        (Reply(206, b"x" * 10, {"Content-Range": "bytes 5-14/100000"}), WrongBytes),
        (Reply(200, b"<html>login</html>"), WrongBytes),
    ],
)
def test_a_store_that_answers_badly_is_a_failed_attempt_and_the_next_one_asks_the_hub(
    client: HttpClient, fault: Reply, error: type[Exception]
) -> None:
    def store(seen: Seen) -> Reply:
        return fault if len(hub.store.seen) == 2 else file_reply(seen, DATA)

    hub = Redirecting(store)
    with hub, hub.store:
        read = Reader(hub, client)
        read(0, 10)

        with pytest.raises(error):
            read(10, 20)
        assert hub.asked() == (1, 2)
        assert read(10, 20) == DATA[10:20]
        assert hub.asked() == (2, 3)


def test_after_a_break_the_hub_is_asked_again(client: HttpClient) -> None:
    def store(seen: Seen) -> Reply:
        if len(hub.store.seen) != 2:
            return file_reply(seen, DATA)
        headers = {"Content-Range": "bytes 10-19/100000", "Content-Length": "10"}
        return Reply(206, [DATA[10:15], ABORT], headers)

    hub = Redirecting(store)
    with hub, hub.store:
        read = Reader(hub, client)
        read(0, 10)
        with pytest.raises(Exception, match="broke off"):
            read(10, 20)
        read(15, 20)

        assert hub.asked() == (2, 3)


def test_an_address_is_not_used_for_longer_than_some_minutes(client: HttpClient) -> None:
    with Redirecting() as hub, hub.store:
        read = Reader(hub, client)
        read(0, 10)
        read.clock.now = TARGET_AGE_S - 1
        read(10, 20)
        assert hub.asked() == (1, 2)
        read.clock.now = TARGET_AGE_S
        read(20, 30)

        assert hub.asked() == (2, 3)


def test_each_file_has_its_own_address_and_only_so_many_are_kept(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_source, "MAX_TARGETS", 2)
    parts = {f"{number}.safetensors": bytes_of(1000, number) for number in range(3)}
    files = [remote(path, data) for path, data in parts.items()]
    with Redirecting(lambda seen: file_reply(seen, parts[seen.path[1:]])) as hub, hub.store:
        read = Reader(hub, client, *files)

        for start in (0, 10):
            for file in files:
                assert read(start, start + 10, file) == parts[file.path][start : start + 10]

        assert hub.asked()[0] == 6, "the oldest of three was given up each time"
        read(20, 30, files[2])
        assert hub.asked()[0] == 6


def test_a_redirect_within_the_hub_is_not_kept(client: HttpClient) -> None:
    """There the credentials are needed."""

    def lead(seen: Seen, _count: int) -> Reply:
        return file_reply(seen, DATA) if seen.path == "/stored" else redirect("/stored")

    with Origin({}, fault=lead) as hub:
        read = Reader(hub, client)
        read(0, 10)
        read(10, 20)

        assert [seen.path for seen in hub.server.seen] == ["/model.safetensors", "/stored"] * 2


def test_many_threads_share_what_is_kept(client: HttpClient) -> None:
    with Redirecting() as hub, hub.store:
        read = Reader(hub, client)
        read(0, 1)
        found: list[bytes] = []
        threads = [threading.Thread(target=lambda n=n: found.append(read(n, n + 1000))) for n in range(0, 16_000, 1000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)

        assert sorted(found) == sorted(DATA[n : n + 1000] for n in range(0, 16_000, 1000))
        assert hub.asked() == (1, 17)


class TestShortcut:
    def test_a_nearer_store_is_asked_for_and_kept(self, client: HttpClient) -> None:
        with Redirecting(shortcut=REGION) as hub, hub.store:
            read = Reader(hub, client)
            read(0, 10)
            read(10, 20)

            assert hub.asked() == (1, 2)
            assert hub.server.seen[0].headers["x-aliyun-region-id"] == "cn-hangzhou"

    @pytest.mark.parametrize("internal", ["http://127.0.0.1:1/gone", "ftp://elsewhere/", "refusing"])
    def test_one_that_does_not_work_here_is_given_up_for_good_at_once(self, client: HttpClient, internal: str) -> None:
        hub = Redirecting(shortcut=REGION)
        with ScriptedServer(lambda _: Reply(403)) as refusing, hub, hub.store:
            public = hub.sign

            def lead(seen: Seen, count: int) -> Reply:
                if "x-aliyun-region-id" not in seen.headers:
                    return public(seen, count)
                return redirect(refusing.url if internal == "refusing" else internal)

            hub.fault = lead
            read = Reader(hub, client, FILE, remote("other", b"ab"))

            assert read(0, 10) == DATA[:10]
            assert hub.asked() == (2, 1)
            read.source._targets.forget(FILE.path)
            read(10, 20)
            assert hub.asked() == (3, 2)

    def test_a_hub_that_fails_either_way_tells_nothing_about_it(self, client: HttpClient) -> None:
        with Redirecting(shortcut=REGION) as hub, hub.store:
            hub.fault = lambda _seen, _count: Reply(404)
            read = Reader(hub, client)
            with pytest.raises(ModelNotFound):
                read(0, 10)
            hub.fault = hub.sign
            read(0, 10)

            assert "x-aliyun-region-id" in hub.server.seen[-1].headers

    def test_a_busy_hub_is_not_asked_twice(self, client: HttpClient) -> None:
        with Redirecting(shortcut=REGION) as hub, hub.store:
            hub.fault = lambda _seen, _count: Reply(429)
            with pytest.raises(HubBusy):
                Reader(hub, client)(0, 10)

            assert hub.asked() == (1, 0)

    def test_a_hub_that_is_away_is_away(self, client: HttpClient) -> None:
        with Redirecting(shortcut=REGION) as hub, hub.store:
            pass

        with pytest.raises(HubUnreachable):
            Reader(hub, client)(0, 10)
