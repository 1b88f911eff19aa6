"""Bodies arrive in large reads, whatever they were sent in; and no read waits for long for what does not come."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import SourceFailed, Stopped
from qwen3ft_jupyter.hubs import receiving
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.network import CA_VARIABLES
from tests.servers import CLOSE, Reply, ScriptedServer, Stall
from tests.transfer.origin import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.hubs.http import Response

MB = 1 << 20
DATA = bytes_of(6 * MB + 12_345)
SENT_BYTES = 64 << 10


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpClient]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", *CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    client = HttpClient(idle_timeout_s=5.0)
    yield client
    client.close()


def in_small_writes() -> Reply:
    parts = [DATA[start : start + SENT_BYTES] for start in range(0, len(DATA), SENT_BYTES)]
    return Reply(200, parts, {"Content-Length": str(len(DATA))})


def each_read(response: Response, view_bytes: int = MB) -> Iterator[bytes]:
    """Yield what each read brings, to the end of the body."""
    view = memoryview(bytearray(view_bytes))
    while count := response.read_into(view):
        yield bytes(view[:count])


def reads(response: Response, view_bytes: int = MB) -> list[bytes]:
    return list(each_read(response, view_bytes))


def test_a_body_that_is_sent_in_small_writes_arrives_in_few_reads(client: HttpClient) -> None:
    with ScriptedServer(lambda _: in_small_writes()) as server, client.open(server.url) as response:
        found = reads(response)

    assert b"".join(found) == DATA
    assert len(found) < len(DATA) / SENT_BYTES / 2


def test_the_reads_of_a_body_are_as_large_as_those_of_the_one_before_on_its_connection(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "GATHER_S", 10.0)  # however slow this machine is
    found = []
    with ScriptedServer(lambda _: in_small_writes()) as server:
        for _ in range(3):
            with client.open(server.url) as response:
                found.append(len(reads(response)))

        assert len({seen.port for seen in server.seen}) == 1
    assert max(found[1:]) < found[0]


def test_neither_what_comes_with_the_head_nor_the_end_is_a_read_of_its_own(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "GATHER_S", 10.0)  # however slow this machine is
    data = DATA[:MB]
    with ScriptedServer(lambda _: Reply(200, data, {"Content-Length": str(len(data))})) as server:
        with client.open(server.url) as response:
            reads(response)
        with client.open(server.url) as response:
            found = reads(response)

    assert b"".join(found) == data
    assert len(found) <= 3


@pytest.mark.parametrize("view_bytes", [1000, 5000, 100_000, 8 * MB])
def test_reads_bring_no_more_than_there_is_room_for(client: HttpClient, view_bytes: int) -> None:
    data = DATA[:50_000] if view_bytes == 1000 else DATA
    headers = {"Content-Length": str(len(data))}
    with ScriptedServer(lambda _: Reply(200, data, headers)) as server, client.open(server.url) as response:
        assert b"".join(reads(response, view_bytes)) == data


def test_a_connection_is_used_again_after_a_large_body(client: HttpClient) -> None:
    """Nothing of how its body was waited for is left: a short answer is not waited for longer."""
    replies: list[Callable[[], Reply]] = [in_small_writes, lambda: Reply(200, b"short", {"Content-Length": "5"})]
    with ScriptedServer(lambda seen: replies[len(seen.path) % 2]()) as server:
        for path in ("/a", "/ab", "/a", "/ab"):
            with client.open(server.url + path) as response:
                assert b"".join(reads(response)) == (DATA if len(path) % 2 == 0 else b"short")

        assert len({seen.port for seen in server.seen}) == 1


def test_what_has_come_is_given_at_once_when_more_does_not_come(client: HttpClient) -> None:
    stall = Stall()
    body: Sequence[Any] = [DATA[:300_000], stall, DATA[300_000:]]
    with (
        ScriptedServer(lambda _: Reply(200, body, {"Content-Length": str(len(DATA))})) as server,
        client.open(server.url) as response,
    ):
        view, found = memoryview(bytearray(MB)), b""
        while len(found) < 300_000:
            found += view[: response.read_into(view)]
        stall.event.set()

        assert found + b"".join(reads(response)) == DATA


def test_a_body_that_ends_early_gives_what_had_come_and_then_fails(client: HttpClient) -> None:
    body: Sequence[Any] = [DATA[:700_001], CLOSE]
    with (
        ScriptedServer(lambda _: Reply(200, body, {"Content-Length": str(len(DATA))})) as server,
        client.open(server.url) as response,
    ):
        found: list[bytes] = []
        with pytest.raises(SourceFailed, match="broke off") as caught:
            found.extend(each_read(response))

    assert b"".join(found) == DATA[:700_001]
    assert caught.value.details["cause"] == "reset"


def test_silence_in_a_large_body_is_told_from_a_reset() -> None:
    body: Sequence[Any] = [DATA[:700_001], Stall()]
    client = HttpClient(idle_timeout_s=0.3)
    with (
        ScriptedServer(lambda _: Reply(200, body, {"Content-Length": str(len(DATA))})) as server,
        client.open(server.url) as response,
        pytest.raises(SourceFailed) as caught,
    ):
        reads(response)
    client.close()

    assert caught.value.details["cause"] == "silent"


def test_a_read_that_waits_ends_when_someone_wants_it_to(client: HttpClient) -> None:
    stop = threading.Event()
    body: Sequence[Any] = [DATA[:700_001], Stall()]
    with (
        ScriptedServer(lambda _: Reply(200, body, {"Content-Length": str(len(DATA))})) as server,
        client.open(server.url, stop=stop) as response,
    ):
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(Stopped):
            reads(response)


def test_a_chunked_body_and_one_of_unknown_length_arrive_whole(client: HttpClient) -> None:
    parts = [DATA[:100_000], DATA[100_000:]]
    with ScriptedServer(lambda _: Reply(200, parts, is_chunked=True)) as server, client.open(server.url) as response:
        assert b"".join(reads(response)) == DATA


def test_a_system_that_cannot_be_told_to_wait_for_more_still_brings_large_reads(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "SO_RCVLOWAT", -1)

    with ScriptedServer(lambda _: in_small_writes()) as server, client.open(server.url) as response:
        found = reads(response)

    assert b"".join(found) == DATA
    assert len(found) < len(DATA) / SENT_BYTES


def test_records_of_a_secure_connection_are_put_together(
    client: HttpClient, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    with ScriptedServer(lambda _: in_small_writes(), tls=context) as server:
        for _ in range(2):
            with client.open(server.url) as response:
                found = reads(response)
            assert b"".join(found) == DATA
            assert len(found) < len(DATA) / (16 << 10) / 2, "a record has 16 KiB"

        assert len({seen.port for seen in server.seen}) == 1
