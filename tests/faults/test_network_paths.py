"""What lies between us and the hub: certificates that are not right, and proxies that refuse, ask or die."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import HubError, HubUnreachable, Qwen3ftError, SourceFailed
from tests.faults.loopback import DATA, SIZE, TOKEN, RawServer, Stage, head_of, part, shorten_silence
from tests.faults.loopback_proxy import Proxy
from tests.servers import ABORT, Reply, Seen

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    Certificates = dict[str, "Certificate"]

SMALL = SIZE - len(DATA)


class Certificate:
    """A certificate with its key in one file."""

    def __init__(self, folder: Path, name: str, subject: str) -> None:
        self.path = folder / f"{name}.pem"
        key = folder / f"{name}.key"
        command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName={subject}"
        subprocess.run([*command.split(), "-keyout", key, "-out", self.path], check=True, capture_output=True)
        self.path.write_bytes(self.path.read_bytes() + key.read_bytes())

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make certificates")
    folder = tmp_path_factory.mktemp("tls")
    subjects = {"right": "IP:127.0.0.1", "strange": "IP:127.0.0.1", "named": "DNS:hub.example,DNS:store.example"}
    return {name: Certificate(folder, name, subject) for name, subject in subjects.items()}


@pytest.fixture
def trust(
    network: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    def trust(*certificates: Certificate) -> None:
        bundle = tmp_path_factory.mktemp("trust") / "bundle.pem"
        bundle.write_bytes(b"".join(certificate.path.read_bytes() for certificate in certificates))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))

    return trust


class TestTls:
    def test_a_trusted_certificate_is_taken(
        self, tmp_path: Path, certificates: Certificates, trust: Callable[..., None]
    ) -> None:
        trust(certificates["right"])
        context = certificates["right"].context()

        with Stage(tmp_path, tls={"hub": context, "store": context}) as stage:
            assert stage.succeeds().bytes_fetched == SIZE

    @pytest.mark.usefixtures("network")
    def test_a_self_signed_hub_is_refused_and_learns_nothing(self, tmp_path: Path, certificates: Certificates) -> None:
        with Stage(tmp_path, tls={"hub": certificates["right"].context()}) as stage:
            error = stage.fails(HubUnreachable, "certificate is not trusted")

            assert "REQUESTS_CA_BUNDLE" in error.hint
            assert stage.hub.seen == []

    def test_a_hub_under_another_hosts_certificate_is_refused(
        self, tmp_path: Path, certificates: Certificates, trust: Callable[..., None]
    ) -> None:
        trust(certificates["named"])

        with Stage(tmp_path, tls={"hub": certificates["named"].context()}) as stage:
            stage.fails(HubUnreachable, "certificate is not trusted")
            assert stage.hub.seen == []

    def test_a_store_with_another_certificate_than_is_trusted_gives_no_byte(
        self, tmp_path: Path, certificates: Certificates, trust: Callable[..., None]
    ) -> None:
        trust(certificates["right"])
        tls = {"hub": certificates["right"].context(), "store": certificates["strange"].context()}

        with Stage(tmp_path, tls=tls) as stage:
            stage.fails(HubUnreachable, "certificate is not trusted")
            assert stage.store.seen == []

    def test_https_that_redirects_to_http_is_refused(
        self, tmp_path: Path, certificates: Certificates, trust: Callable[..., None]
    ) -> None:
        trust(certificates["right"])

        with Stage(tmp_path, tls={"hub": certificates["right"].context()}) as stage:
            stage.fails(HubError, "redirects from https to http")
            assert stage.store.seen == []

    @pytest.mark.parametrize("speaks", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28"])
    def test_a_server_that_does_not_speak_tls_is_refused(self, stage: Stage, speaks: bytes) -> None:
        def speak(connection: socket.socket, _is_closed: threading.Event) -> None:
            connection.recv(65536)
            connection.sendall(speaks)

        with RawServer(speak) as server:
            stage.hub_url = server.url.replace("http:", "https:")
            stage.fails(HubUnreachable, "broke off|secure connection")

    def test_a_handshake_that_never_answers_is_given_up(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        shorten_silence(monkeypatch, 0.3)

        def keep_silent(_connection: socket.socket, is_closed: threading.Event) -> None:
            is_closed.wait(120)

        with RawServer(keep_silent) as server:
            stage.hub_url = server.url.replace("http:", "https:")
            stage.fails(HubUnreachable, "does not answer|cannot be connected|silent")

    def test_a_tls_connection_that_is_cut_goes_on(
        self, tmp_path: Path, certificates: Certificates, trust: Callable[..., None]
    ) -> None:
        """Without the closing word of TLS, an end cannot be told from an attacker's cut: the length decides."""
        trust(certificates["right"])
        context = certificates["right"].context()
        stage = Stage(tmp_path, tls={"hub": context, "store": context})
        with stage, Cutting(stage.store.port, 400_000) as cutting:
            stage.store_url = f"https://127.0.0.1:{cutting.port}"
            assert stage.succeeds().bytes_fetched == SIZE


class TestProxies:
    @pytest.fixture
    def world(self, stage: Stage) -> Stage:
        """A hub and a store that only the proxy knows how to reach."""
        stage.hub_url, stage.store_url = "http://hub.example", "http://store.example"
        return stage

    @staticmethod
    def routes(stage: Stage) -> dict[str, int]:
        names = {"hub.example": stage.hub.port, "store.example": stage.store.port}
        return {f"{host}:{number}": port for host, port in names.items() for number in (80, 443)}

    def test_a_forward_proxy_carries_everything(self, world: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        with Proxy(self.routes(world), login="user:pass word") as proxy:
            monkeypatch.setenv("http_proxy", proxy.url("user:pass%20word"))
            world.succeeds()

            assert any(b"http://store.example/" in head for head in proxy.heads)

    def test_a_tunnel_carries_everything_and_sees_no_credentials(
        self, tmp_path: Path, certificates: Certificates, trust: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trust(certificates["named"])
        context = certificates["named"].context()
        with Stage(tmp_path, tls={"hub": context, "store": context}) as stage:
            stage.hub_url, stage.store_url = "https://hub.example", "https://store.example"
            with Proxy(self.routes(stage), login="user:secret") as proxy:
                monkeypatch.setenv("HTTPS_PROXY", proxy.url("user:secret"))
                stage.succeeds()

                assert all(head.startswith(b"CONNECT ") for head in proxy.heads)
                assert not any(TOKEN.encode() in head for head in proxy.heads)

    @pytest.mark.parametrize(
        ("refusal", "plain", "tunnel"),
        [
            (b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n", "the proxy does not let", "the proxy does not let"),
            (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "does not give access", "the proxy does not let"),
            (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "failing .HTTP 502", "the proxy does not let"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "not JSON", "secure connection|broke off"),
            (b"garbage", "not HTTP", "not HTTP"),
            (b"\r\n", "not HTTP", "not HTTP"),
        ],
        ids=["password", "refuses", "broken", "login page", "garbage", "nothing"],
    )
    def test_one_that_lets_nothing_through_is_an_error(
        self, world: Stage, monkeypatch: pytest.MonkeyPatch, *, refusal: bytes, plain: str, tunnel: str
    ) -> None:
        with Proxy({}, refusal=refusal) as proxy:
            for scheme, match in {"http": plain, "https": tunnel}.items():
                monkeypatch.setenv(f"{scheme}_proxy", proxy.url("user:secret"))
                world.hub_url = f"{scheme}://hub.example"
                proxy.heads.clear()

                error = world.fails(HubError, match)

                assert "secret" not in str(error)
            assert not any(TOKEN.encode() in head for head in proxy.heads), "a tunnel that is refused learns no token"

    def test_a_wrong_password_is_named(self, world: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        with Proxy(self.routes(world), login="user:right") as proxy:
            monkeypatch.setenv("http_proxy", proxy.url("user:wrong"))

            world.fails(HubUnreachable, "proxy", kept=None)

    def test_one_that_asks_for_a_password_in_mid_download_is_named(
        self, world: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.at_store = lambda _seen, _count: Reply(407)
        with Proxy(self.routes(world)) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url())

            world.fails(HubUnreachable, "proxy", kept=SMALL)

    def test_one_that_dies_in_mid_body_is_survived(self, world: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        with Proxy(self.routes(world)) as proxy:
            proxy.dies_after = 300_000
            monkeypatch.setenv("http_proxy", proxy.url())

            assert world.succeeds().bytes_fetched == SIZE

    def test_one_that_dies_for_good_is_an_error_and_what_arrived_is_kept(
        self, world: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Proxy(self.routes(world)) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url())

            def die(seen: Seen, _count: int) -> Reply:
                proxy.close()
                return Reply(206, [ABORT], head_of(*part(seen)))

            world.at_store = die
            with world.after_small_files(), pytest.raises(Qwen3ftError) as caught:
                world.ensure()
        assert isinstance(caught.value, HubUnreachable | SourceFailed)
        assert world.cache.list() == []
        world.calm()
        with Proxy(self.routes(world)) as second:
            monkeypatch.setenv("http_proxy", second.url())
            assert world.succeeds().bytes_fetched == len(DATA)

    def test_one_that_is_not_there_is_named(self, world: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")

        world.fails(HubUnreachable, "proxy")

    def test_loopback_is_never_asked_of_a_proxy(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

        stage.succeeds()


class Cutting(Proxy):
    """Passes every connection on, and cuts it after so many bytes from the server."""

    def __init__(self, port: int, limit: int) -> None:
        super().__init__({})
        self._port = port
        self.dies_after = limit

    def _talk(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            try:
                self._pump(client, server)
            except OSError:
                return
