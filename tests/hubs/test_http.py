from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import BadListing, BadSetting, HubBusy, HubError, HubUnreachable, SourceFailed, Stopped
from qwen3ft_jupyter.hubs import http
from qwen3ft_jupyter.hubs.failures import host_of, redirect_target
from qwen3ft_jupyter.hubs.http import MAX_JSON_DEPTH, HttpClient, json_depth
from qwen3ft_jupyter.hubs.network import CA_VARIABLES
from tests.lived import CpuTime, Lived
from tests.servers import ABORT, CLOSE, Reply, ScriptedServer, Seen, Stall, file_reply, json_reply, redirect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = {"Authorization": "Bearer made-up", "Cookie": "m_session_id=made-up"}
NO_JITTER = 0.0


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient(idle_timeout_s=5.0, chance=lambda: NO_JITTER)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", *CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def in_turn(*replies: Reply) -> Callable[[Seen], Reply]:
    """Answer with each reply once, then with the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def read_all(client: HttpClient, url: str, stop: threading.Event | None = None) -> bytes:
    with client.open(url, stop=stop) as response:
        body = b""
        while data := response.read(1 << 20):
            body += data
        return body


class TestAsking:
    def test_a_body_arrives_whole_in_pieces_no_larger_than_asked_for(self, client: HttpClient) -> None:
        data = bytes(range(256)) * 4096
        with (
            ScriptedServer(lambda request: file_reply(request, data)) as server,
            client.open(server.url, headers={"Range": "bytes=1000-"}) as response,
        ):
            pieces = list(iter(lambda: response.read(10_000), b""))

        assert response.status == 206
        assert response.headers["content-range"] == f"bytes 1000-{len(data) - 1}/{len(data)}"
        assert b"".join(pieces) == data[1000:]
        assert max(map(len, pieces)) <= 10_000

    def test_a_chunked_body_is_put_together(self, client: HttpClient) -> None:
        with ScriptedServer(lambda _: Reply(200, [b"ab", b"cd"], is_chunked=True)) as server:
            assert read_all(client, server.url) == b"abcd"

    def test_compression_is_declined(self, client: HttpClient) -> None:
        with ScriptedServer(lambda _: Reply()) as server:
            client.get(server.url)

        assert server.seen[0].headers["accept-encoding"] == "identity"

    def test_connections_are_kept_also_over_redirects(self, client: HttpClient) -> None:
        with ScriptedServer(lambda request: redirect("/b") if request.path == "/a" else Reply(200, b"x")) as server:
            client.get(f"{server.url}/a")
            client.get(f"{server.url}/b")

            assert len({request.port for request in server.seen}) == 1

    def test_a_server_sends_no_more_of_what_is_not_wanted_any_more(self, client: HttpClient) -> None:
        was_left = threading.Event()

        def body() -> Iterator[bytes]:
            try:
                for _ in range(3000):
                    yield bytes(1000)
                    time.sleep(0.01)
            except GeneratorExit:
                was_left.set()
                raise

        with ScriptedServer(lambda _: Reply(200, body(), {"Content-Length": "3000000"})) as server:
            with client.open(server.url) as response:
                response.read(1000)
            assert was_left.wait(120)

    def test_a_kept_connection_that_the_server_closed_costs_no_error(self, client: HttpClient) -> None:
        def answer(request: Seen) -> Reply:
            return Reply(200, [b"x", CLOSE], {"Content-Length": "1"})  # says nothing, then hangs up

        with ScriptedServer(answer) as server:
            for _ in range(5):
                assert read_all(client, server.url) == b"x"

    def test_a_body_that_ends_early_is_a_failure_of_the_source(self, client: HttpClient) -> None:
        with (
            ScriptedServer(lambda _: Reply(200, [b"half", CLOSE], {"Content-Length": "8"})) as server,
            client.open(server.url) as response,
        ):
            assert response.read(100) == b"half"
            with pytest.raises(SourceFailed):
                response.read(100)

    def test_a_chunked_body_that_ends_early_is_a_failure_of_the_source(self, client: HttpClient) -> None:
        with (
            ScriptedServer(lambda _: Reply(200, [b"half", CLOSE], is_chunked=True)) as server,
            pytest.raises(SourceFailed),
        ):
            read_all(client, server.url)

    def test_a_reset_in_the_body_is_a_failure_of_the_source(self, client: HttpClient) -> None:
        with (
            ScriptedServer(lambda _: Reply(200, [b"x" * 1000, ABORT], {"Content-Length": "9999"})) as server,
            pytest.raises(SourceFailed) as caught,
        ):
            read_all(client, server.url)

        assert caught.value.is_transient
        assert caught.value.details["cause"] == "reset"

    def test_silence_in_the_body_is_a_failure_of_the_source(self) -> None:
        client = HttpClient(idle_timeout_s=0.2)
        with (
            ScriptedServer(lambda _: Reply(200, [b"x", Stall()], {"Content-Length": "2"})) as server,
            pytest.raises(SourceFailed) as caught,
        ):
            read_all(client, server.url)

        assert caught.value.details["cause"] == "silent"


class TestStopping:
    """Every wait ends within a second of `stop` being set."""

    def check(self, work: Callable[[threading.Event], object], started: Callable[[], object]) -> None:
        stop, ended = threading.Event(), threading.Event()
        waited_s: list[float] = []

        def set_when_started() -> None:
            started()
            with Lived() as lived:
                stop.set()
                ended.wait()
            waited_s.append(lived.seconds)

        setter = threading.Thread(target=set_when_started)
        setter.start()
        with pytest.raises(Stopped):
            work(stop)
        ended.set()
        setter.join()
        assert waited_s[0] < 1.0

    def test_while_the_body_stalls(self, client: HttpClient) -> None:
        with ScriptedServer(lambda _: Reply(200, [b"x", Stall()], {"Content-Length": "2"})) as server:
            self.check(lambda stop: read_all(client, server.url, stop), server.wait_for)

    def test_while_a_body_of_unknown_length_stalls(self, client: HttpClient) -> None:
        with ScriptedServer(lambda _: Reply(200, [b"x", Stall()])) as server:
            self.check(lambda stop: read_all(client, server.url, stop), server.wait_for)

    def test_while_the_headers_do_not_come(self, client: HttpClient) -> None:
        released = threading.Event()

        def answer(_: Seen) -> Reply:
            released.wait(120)
            return Reply()

        with ScriptedServer(answer) as server:
            self.check(lambda stop: read_all(client, server.url, stop), server.wait_for)
            released.set()

    def test_while_the_tls_handshake_does_not_come(self, client: HttpClient) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            connections = []
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            self.check(lambda stop: read_all(client, url, stop), lambda: connections.append(listener.accept()))
            connections[0][0].close()

    def test_while_waiting_for_the_next_attempt(self, client: HttpClient) -> None:
        with ScriptedServer(lambda _: Reply(503, b"", {"Retry-After": "50"})) as server:
            self.check(lambda stop: client.get(server.url, stop=stop), server.wait_for)

    def test_while_the_name_is_looked_up(self, client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
        asked, released = threading.Event(), threading.Event()

        def slow(*_: object, **__: object) -> list[object]:
            asked.set()
            released.wait(120)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        self.check(lambda stop: client.get("http://slow.example", stop=stop), lambda: asked.wait(120))
        released.set()

    def test_while_the_connect_is_not_answered(self, client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
        began = threading.Event()

        def connect(connection: socket.socket, address: tuple[str, int]) -> int:
            began.set()
            return super(socket.socket, connection).connect_ex(address)

        with socket.socket() as full, contextlib.ExitStack() as waiting:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for _ in range(4):  # a queue of length 0 still takes one or two; then the system drops what comes
                connection = waiting.enter_context(socket.socket())
                connection.setblocking(False)
                connection.connect_ex(full.getsockname())
            monkeypatch.setattr(socket.socket, "connect_ex", connect)
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            self.check(lambda stop: client.get(url, stop=stop), lambda: began.wait(120))

    def test_before_anything_was_asked(self, client: HttpClient) -> None:
        stop = threading.Event()
        stop.set()

        with ScriptedServer(lambda _: Reply()) as server:
            with pytest.raises(Stopped):
                client.get(server.url, stop=stop)
            assert server.seen == []

    def test_an_event_that_is_never_set_changes_nothing(self, client: HttpClient) -> None:
        with ScriptedServer(lambda _: Reply(200, b"x")) as server:
            assert client.get(server.url, stop=threading.Event()).body == b"x"


class TestRedirects:
    def test_credentials_stay_with_their_origin(self, client: HttpClient) -> None:
        with (
            ScriptedServer(lambda _: Reply(200, b"x")) as store,
            ScriptedServer(lambda _: redirect(f"{store.url}/signed?token=1")) as hub,
            client.open(f"{hub.url}/file", headers={**TOKEN, "Range": "bytes=0-0"}),
        ):
            pass

        assert hub.seen[0].headers["authorization"] == "Bearer made-up"
        assert not {"authorization", "cookie"} & store.seen[0].headers.keys()
        assert store.seen[0].headers["range"] == "bytes=0-0"

    def test_credentials_do_not_come_back_with_a_redirect_back(self, client: HttpClient) -> None:
        hub_url: list[str] = []

        with ScriptedServer(lambda _: redirect(f"{hub_url[0]}/again")) as store:

            def answer(request: Seen) -> Reply:
                return redirect(store.url) if request.path == "/file" else Reply(200)

            with ScriptedServer(answer) as hub:
                hub_url.append(hub.url)
                with client.open(f"{hub.url}/file", headers=TOKEN):
                    pass

                assert "authorization" not in hub.seen[1].headers

    def test_credentials_follow_within_their_origin(self, client: HttpClient) -> None:
        with ScriptedServer(lambda request: redirect("/b") if request.path == "/a" else Reply()) as server:
            with client.open(f"{server.url}/a", headers=TOKEN):
                pass

            assert server.seen[1].headers["cookie"] == TOKEN["Cookie"]

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_every_kind_is_followed(self, client: HttpClient, status: int) -> None:
        with ScriptedServer(lambda request: redirect("/b?c", status) if request.path == "/a" else Reply(200)) as server:
            answer = client.get(f"{server.url}/a")

        assert answer.status == 200
        assert answer.url == f"{server.url}/b?c"

    def test_a_circle_is_noticed(self, client: HttpClient) -> None:
        with (
            ScriptedServer(lambda request: redirect("/b" if request.path == "/a" else "/a")) as server,
            pytest.raises(HubError, match="circle"),
        ):
            client.get(f"{server.url}/a")

    def test_an_endless_chain_is_cut(self, client: HttpClient) -> None:
        with ScriptedServer(lambda request: redirect(f"{request.path}x")) as server:
            with pytest.raises(HubError, match="too often"):
                client.get(f"{server.url}/a")
            assert len(server.seen) == 11

    def test_https_never_becomes_http(self) -> None:
        with pytest.raises(HubError, match="https to http"):
            redirect_target("https://hub.example/a", "http://hub.example/a")

    @pytest.mark.parametrize(
        "location", ["ftp://x/y", "file:///etc/passwd", "javascript:1", "http://:80/x", "http://[x"]
    )
    def test_other_schemes_are_refused(self, location: str) -> None:
        with pytest.raises(HubError):
            redirect_target("http://hub.example/a", location)

    def test_a_name_and_password_in_the_target_are_dropped(self) -> None:
        target = redirect_target("http://hub.example/a", "http://user:word@[::1]:8080/b#part")

        assert target == "http://[::1]:8080/b"

    def test_a_redirect_without_target_is_an_answer(self, client: HttpClient) -> None:
        with ScriptedServer(lambda _: Reply(302)) as server:
            assert client.get(server.url).status == 302


class TestFailures:
    def test_a_refused_connection(self, client: HttpClient) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

        with pytest.raises(HubUnreachable, match="refuses") as caught:
            client.get(f"http://127.0.0.1:{port}/?token=secret")

        assert caught.value.details["cause"] == "refused"
        assert "secret" not in str(caught.value)

    def test_a_name_that_does_not_exist(self, client: HttpClient) -> None:
        with pytest.raises(HubUnreachable, match="looked up") as caught:
            client.get("http://nowhere.invalid/")

        assert caught.value.details["cause"] == "name-lookup"

    def test_a_hub_that_breaks_off(self, client: HttpClient) -> None:
        with ScriptedServer(in_turn(Reply(200, [ABORT]), Reply(200, [ABORT]), Reply(200, b"x"))) as server:
            assert client.get(server.url).body == b"x"
            assert len(server.seen) == 3

    def test_a_hub_that_stays_silent(self) -> None:
        client = HttpClient(idle_timeout_s=0.2, chance=lambda: 0.0)
        released = threading.Event()

        def answer(_: Seen) -> Reply:
            released.wait(120)
            return Reply()

        with ScriptedServer(answer) as server:
            with pytest.raises(HubUnreachable) as caught:
                client.get(server.url)
            released.set()
            assert len(server.seen) == 2

        assert caught.value.details["cause"] == "silent"

    def test_silence_is_borne_for_less_long_where_a_question_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "QUESTION_IDLE_S", 0.2)
        client = HttpClient(idle_timeout_s=20, chance=lambda: 0.0)
        released = threading.Event()

        def answer(_: Seen) -> Reply:
            released.wait(120)
            return Reply(200, b"x")

        with ScriptedServer(answer) as server:
            with pytest.raises(HubUnreachable) as caught:
                client.get(server.url)
            threading.Timer(0.5, released.set).start()
            with client.open(server.url) as response:
                assert response.status == 200

        assert caught.value.details["cause"] == "silent"

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
    def test_a_passing_fault_is_asked_again(self, client: HttpClient, status: int) -> None:
        with ScriptedServer(in_turn(Reply(status, b"", {"Retry-After": "0"}), Reply(200, b"x"))) as server:
            assert client.get(server.url).body == b"x"

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
    def test_a_refusal_is_an_answer(self, client: HttpClient, status: int) -> None:
        with ScriptedServer(lambda _: Reply(status, b"why")) as server:
            answer = client.get(server.url)
            assert len(server.seen) == 1

        assert (answer.status, answer.body) == (status, b"why")

    def test_a_hub_that_stays_busy_is_named(self, client: HttpClient) -> None:
        with ScriptedServer(lambda _: Reply(503, b"", {"Retry-After": "0"})) as server:
            with pytest.raises(HubBusy, match="HTTP 503"):
                client.get(server.url)
            assert len(server.seen) == 5

    def test_a_long_wait_is_left_to_the_user(self, client: HttpClient) -> None:
        with ScriptedServer(lambda _: Reply(429, b"", {"Retry-After": "300"})) as server:
            with pytest.raises(HubBusy) as caught:
                client.get(server.url)
            assert len(server.seen) == 1

        assert "5 minutes" in caught.value.hint
        assert caught.value.details["retry_after_s"] == "300"

    @pytest.mark.parametrize("url", ["ftp://hub.example/", "http://[::1/", "http://a b/", "http://" + "a" * 70 + "/"])
    def test_an_address_that_is_none(self, client: HttpClient, url: str) -> None:
        with pytest.raises(HubUnreachable):
            client.get(url)

    def test_a_token_with_a_line_break_does_not_appear_in_the_error(self, client: HttpClient) -> None:
        with ScriptedServer(lambda _: Reply()) as server, pytest.raises(HubUnreachable) as caught:
            client.get(server.url, headers={"Authorization": "Bearer made\nup"})

        assert "made" not in str(caught.value)


class TestAnswers:
    def test_more_than_the_limit_is_not_read(self, client: HttpClient) -> None:
        def endless() -> Iterator[bytes]:
            while True:
                yield b"x" * 65_536

        with ScriptedServer(lambda _: Reply(200, endless())) as server, pytest.raises(BadListing, match="far more"):
            client.get(server.url, max_bytes=1 << 20)

    def test_a_proxy_that_compresses_all_the_same_is_survived(self, client: HttpClient) -> None:
        body = gzip.compress(json.dumps({"a": 1}).encode())
        with ScriptedServer(lambda _: Reply(200, body, {"Content-Encoding": "gzip"})) as server:
            assert client.get(server.url).json() == {"a": 1}

    def test_a_compressed_answer_swells_to_the_limit_only(self, client: HttpClient) -> None:
        body = gzip.compress(bytes(50_000_000))
        with (
            ScriptedServer(lambda _: Reply(200, body, {"Content-Encoding": "gzip"})) as server,
            pytest.raises(BadListing, match="far more"),
        ):
            client.get(server.url, max_bytes=1 << 20)

    @pytest.mark.parametrize(("encoding", "body"), [("gzip", b"no gzip"), ("br", b"x"), ("gzip, gzip", b"x")])
    def test_any_other_encoding_is_refused(self, client: HttpClient, encoding: str, body: bytes) -> None:
        with (
            ScriptedServer(lambda _: Reply(200, body, {"Content-Encoding": encoding})) as server,
            pytest.raises(BadListing),
        ):
            client.get(server.url)

    @pytest.mark.parametrize("body", [b"", b"{", b"<html>log in</html>", b"\xff\xfe", b"[" * 20, b"9" * 5000, b"nul"])
    def test_what_is_not_json_is_refused(self, client: HttpClient, body: bytes) -> None:
        with ScriptedServer(lambda _: Reply(200, body)) as server, pytest.raises(BadListing):
            client.get(server.url).json()

    def test_a_login_page_is_recognised(self, client: HttpClient) -> None:
        with ScriptedServer(lambda _: Reply(200, b"<!doctype html>")) as server, pytest.raises(BadListing) as caught:
            client.get(server.url).json()

        assert "login page" in caught.value.hint

    @pytest.mark.parametrize("opening", [b"[", b'{"a":'])
    def test_json_nested_too_deeply_is_refused_before_it_is_parsed(self, client: HttpClient, opening: bytes) -> None:
        body = opening * 100_000
        with ScriptedServer(lambda _: Reply(200, body)) as server, pytest.raises(BadListing, match="deeply"):
            client.get(server.url).json()

    def test_brackets_in_strings_are_no_nesting(self) -> None:
        assert json_depth(json.dumps(["[" * 100, '\\"[[', {"[": "]"}]).encode()) == 2

    def test_the_allowed_depth_is_allowed(self, client: HttpClient) -> None:
        body = b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH
        with ScriptedServer(lambda _: Reply(200, body)) as server:
            assert client.get(server.url).json()

    @pytest.mark.parametrize("tail", [b'"', b'"\\', b'"' + b'\\"' * 200_000, b'"\\' * 200_000])
    def test_hostile_quotes_cost_no_time(self, tail: bytes) -> None:
        with CpuTime() as spent:
            json_depth(b"[" + tail)
        assert spent.seconds < 2.0

    def test_a_host_is_shown_without_secrets(self) -> None:
        assert host_of("http://user:word@hub.example:8080/a?token=1") == "hub.example:8080"
        assert host_of("http://[x") == "the server"


class TestProxies:
    def test_a_plain_request_goes_through_the_proxy(self, client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
        with ScriptedServer(lambda _: json_reply({"via": "proxy"})) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://user:pass%40@"))
            assert client.get("http://hub.example/a").json() == {"via": "proxy"}

        assert proxy.seen[0].target == "http://hub.example/a"
        assert proxy.seen[0].headers["proxy-authorization"].startswith("Basic ")

    def test_a_tls_request_tunnels_through_the_proxy(self, client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
        with ScriptedServer(lambda _: Reply(403)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            with pytest.raises(HubUnreachable, match="proxy") as caught:
                client.get("https://hub.example/a", headers=TOKEN)
            assert len(proxy.seen) == 1

        assert caught.value.details["cause"] == "proxy"
        assert (proxy.seen[0].method, proxy.seen[0].target) == ("CONNECT", "hub.example:443")
        assert "authorization" not in proxy.seen[0].headers

    def test_a_proxy_that_wants_a_password_is_named(self, client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
        with ScriptedServer(lambda _: Reply(407)) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            with pytest.raises(HubUnreachable, match="proxy"):
                client.get("http://hub.example/a")

    def test_a_proxy_that_is_not_there_is_named(self, client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{port}")

        with pytest.raises(HubUnreachable, match="proxy"):
            client.get("http://hub.example/a")

    def test_loopback_and_exempt_hosts_go_straight(self, client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
        with ScriptedServer(lambda _: Reply(200, b"straight")) as server:
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
            assert client.get(server.url).body == b"straight"
            assert client.get(server.url.replace("127.0.0.1", "localhost")).body == b"straight"

    def test_a_socks_proxy_is_explained(self, client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")

        with pytest.raises(BadSetting, match="not an HTTP proxy"):
            client.get("http://hub.example/a")


class TestCertificates:
    @pytest.fixture
    def server(self, certificate: Path) -> Iterator[ScriptedServer]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        with ScriptedServer(lambda request: file_reply(request, b"secret" * 50_000), tls=context) as server:
            yield server

    def test_an_unknown_certificate_is_refused_at_once(self, client: HttpClient, server: ScriptedServer) -> None:
        with pytest.raises(HubUnreachable, match="certificate") as caught:
            client.get(server.url, headers=TOKEN)

        assert caught.value.details["cause"] == "tls"
        assert "REQUESTS_CA_BUNDLE" in caught.value.hint
        assert server.seen == []

    @pytest.mark.parametrize("variable", CA_VARIABLES)
    def test_a_certificate_named_in_the_environment_is_trusted(
        self,
        client: HttpClient,
        server: ScriptedServer,
        certificate: Path,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
    ) -> None:
        monkeypatch.setenv(variable, str(certificate))

        assert client.get(server.url).body == b"secret" * 50_000
        assert client.get(server.url).status == 200
        assert len({request.port for request in server.seen}) == 1

    def test_certificates_that_cannot_be_read_are_named(
        self, client: HttpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))

        with pytest.raises(BadSetting, match="REQUESTS_CA_BUNDLE") as caught:
            client.get("https://hub.example/")

        assert str(tmp_path) not in str(caught.value)


class TestStores:
    """Where a hub sends us to: an address that nobody has typed."""

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_a_store_that_is_not_there_is_not_asked_about_its_address(self, scheme: str) -> None:
        with ScriptedServer(lambda _: Reply(200)) as gone:
            store = gone.url.replace("http:", f"{scheme}:")
        with ScriptedServer(lambda _: redirect(f"{store}/x?signature=1")) as hub:
            with pytest.raises(HubUnreachable) as caught:
                HttpClient().open(f"{hub.url}/a")

            assert f"127.0.0.1:{hub.port} keeps its files there" in caught.value.hint
        assert f"127.0.0.1:{gone.port}" in caught.value.message
        assert "address" not in caught.value.hint
        assert caught.value.details["cause"] == "refused"

    def test_a_hub_that_is_not_there_is(self) -> None:
        with ScriptedServer(lambda _: redirect("/elsewhere")) as hub:
            url = hub.url

        with pytest.raises(HubUnreachable) as caught:
            HttpClient().open(f"{url}/a")

        assert "If you have set the address yourself" in caught.value.hint
