"""A mirror that speaks https, for clients that speak nothing else: modelscope up to 1.37."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from qwen3ft_jupyter.errors import BadInput, HubUnreachable
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.huggingface import HuggingFaceHub
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.hubs.network import CA_VARIABLES
from qwen3ft_jupyter.mirror import handler
from qwen3ft_jupyter.mirror.mirror import Mirror, client_settings
from qwen3ft_jupyter.mirror.tls import Certificate, own_certificate
from tests.mirror.conftest import EXPECTED, FILES, REPO, WEIGHTS, digests, fill, sha256
from tests.mirror.test_mirror_clients import BIN, environment, run

if TYPE_CHECKING:
    from collections.abc import Iterator

WEIGHTS_HF = f"/{REPO}/resolve/main/model.safetensors"
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return own_certificate(tmp_path_factory.mktemp("state") / "mirror", "127.0.0.1")


@pytest.fixture
def secure(model_folder: Path, certificate: Certificate) -> Iterator[Mirror]:
    with Mirror({REPO: model_folder}, certificate=certificate) as running:
        yield running


def get(secure: Mirror, certificate: Certificate, target: str, **headers: str) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(certificate.path))
    request = urllib.request.Request(secure.url + target, headers=headers)
    with urllib.request.urlopen(request, timeout=120, context=context) as response:
        return response.status, response.read()


def test_files_and_ranges_come_over_https(secure: Mirror, certificate: Certificate) -> None:
    assert secure.url.startswith("https://127.0.0.1:")
    assert get(secure, certificate, WEIGHTS_HF) == (200, WEIGHTS)
    assert get(secure, certificate, WEIGHTS_HF, Range="bytes=100-1099") == (206, WEIGHTS[100:1100])


def test_links_in_answers_are_https_too(tmp_path: Path, certificate: Certificate) -> None:
    fill(tmp_path / "model", {f"{number}.txt": b"x" for number in range(3)})
    context = ssl.create_default_context(cafile=str(certificate.path))
    with (
        Mirror({REPO: tmp_path / "model"}, certificate=certificate) as mirror,
        urllib.request.urlopen(
            f"{mirror.url}/api/models/{REPO}/tree/main?limit=1", context=context, timeout=20
        ) as response,
    ):
        assert response.headers["link"].startswith(f"<{mirror.url}/api/")


def test_who_does_not_trust_the_certificate_gets_nothing(secure: Mirror) -> None:
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(secure.url, timeout=120)
    with pytest.raises(HubUnreachable, match="certificate"):
        HuggingFaceHub(HttpClient(), secure.url).listing(parse_repo_id(REPO))


@pytest.mark.parametrize("variable", CA_VARIABLES)
def test_our_own_client_trusts_it_as_told(
    secure: Mirror, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(certificate.path))

    listing = HuggingFaceHub(HttpClient(), secure.url).listing(parse_repo_id(REPO))

    assert {file.path: file.sha256 for file in listing.files} == EXPECTED


def test_appended_to_other_certificates_it_is_trusted_beside_them(
    tmp_path: Path, secure: Mirror, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As people are told to do: a certificate named alone would be the only one that is trusted."""
    others = own_certificate(tmp_path / "others", "127.0.0.1")
    both = tmp_path / "both.pem"
    both.write_bytes(others.path.read_bytes() + certificate.path.read_bytes())
    for variable in CA_VARIABLES:
        monkeypatch.setenv(variable, str(both))

    with Mirror({REPO: fill(tmp_path / "model", FILES)}, certificate=others) as other:
        for url in (secure.url, other.url):
            listing = HuggingFaceHub(HttpClient(), url).listing(parse_repo_id(REPO))
            assert {file.path: file.sha256 for file in listing.files} == EXPECTED
            done = run(["curl", "-sS", url + WEIGHTS_HF, "-o", os.devnull], {**os.environ})
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [["hf", "download", "--local-dir"], ["modelscope", "download", "--local_dir"]])
def test_commands_download_over_https(
    tmp_path: Path, secure: Mirror, certificate: Certificate, command: list[str]
) -> None:
    env = environment(tmp_path, secure, **client_settings(secure.url, None, certificate.path))

    done = run([str(BIN / command[0]), command[1], REPO, command[2], str(tmp_path / "got")], env)

    assert done.returncode == 0, done.stdout + done.stderr
    assert digests(tmp_path / "got") == EXPECTED


@pytest.mark.parametrize(("token", "words"), [("", "asks for the token"), ("wrong", "not this mirror's")])
def test_commands_show_people_over_https_what_is_wrong_with_their_token(
    tmp_path: Path, model_folder: Path, certificate: Certificate, token: str, words: str
) -> None:
    with Mirror({REPO: model_folder}, token="right", certificate=certificate) as secure:
        env = environment(tmp_path, secure, **client_settings(secure.url, token or None, certificate.path))

        for command in ("hf", "modelscope"):
            done = run([str(BIN / command), "download", REPO], env)

            assert done.returncode != 0
            assert words in " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    "words",
    [
        ["curl", "-sS", "--cacert", "{cert}", "-o", "{out}", "{url}"],
        ["wget", "-q", "--ca-certificate={cert}", "-O", "{out}", "{url}"],
        ["aria2c", "-q", "--ca-certificate={cert}", "-x4", "-k1M", "-d", "/", "-o", "{out}", "{url}"],
    ],
    ids=lambda words: words[0],
)
def test_other_programs_download_over_https(
    tmp_path: Path, secure: Mirror, certificate: Certificate, words: list[str]
) -> None:
    if shutil.which(words[0]) is None:
        pytest.skip(f"needs {words[0]}")
    values = {"cert": certificate.path, "out": tmp_path / "got", "url": secure.url + WEIGHTS_HF}

    subprocess.run([word.format(**values) for word in words], check=True, timeout=120)

    assert sha256((tmp_path / "got").read_bytes()) == EXPECTED["model.safetensors"]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_clones_over_https(tmp_path: Path, secure: Mirror, certificate: Certificate) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_SSL_CAINFO": str(certificate.path)}
    command = ["git", "clone", "-q", f"{secure.url}/{REPO}", str(tmp_path / "got")]

    subprocess.run(command, env=env | {"GIT_LFS_SKIP_SMUDGE": "1"}, check=True, timeout=120)

    assert (tmp_path / "got" / "config.json").read_bytes() == FILES["config.json"]


def connect(secure: Mirror) -> socket.socket:
    parts = urlsplit(secure.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=120)


def test_who_speaks_http_is_told_so(secure: Mirror) -> None:
    with connect(secure) as connection:
        connection.sendall(f"GET {WEIGHTS_HF} HTTP/1.1\r\nHost: {urlsplit(secure.url).netloc}\r\n\r\n".encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))

    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"speaks https" in received
    assert WEIGHTS[:1000] not in received


@pytest.mark.parametrize("first", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01garbage", b"\x16" + b"\xff" * 3000])
def test_half_a_handshake_holds_nobody_up(
    secure: Mirror, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    monkeypatch.setattr(handler, "REQUEST_S", 0.5)
    with connect(secure) as connection:
        connection.sendall(first)
        assert get(secure, certificate, "/")[0] == 200  # meanwhile
        with contextlib.suppress(ConnectionError):
            while connection.recv(65536):
                pass  # an alert, or nothing, and then the end

    assert get(secure, certificate, "/")[0] == 200


def test_who_is_too_many_is_told_so_under_tls_too(model_folder: Path, certificate: Certificate) -> None:
    context = ssl.create_default_context(cafile=str(certificate.path))
    with Mirror({REPO: model_folder}, certificate=certificate, max_connections=1) as mirror:
        host = urlsplit(mirror.url).netloc
        with context.wrap_socket(connect(mirror), server_hostname="127.0.0.1") as busy:
            busy.sendall(f"GET {WEIGHTS_HF} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert busy.recv(15) == b"HTTP/1.1 200 OK"  # and takes no more for now
            with context.wrap_socket(connect(mirror), server_hostname="127.0.0.1") as more:
                more.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                assert more.recv(12) == b"HTTP/1.1 503"


def test_a_client_that_takes_its_time_gets_every_byte(model_folder: Path, certificate: Certificate) -> None:
    """What TLS could not send at once is sent again as it was."""
    context = ssl.create_default_context(cafile=str(certificate.path))
    received = bytearray()
    with Mirror({REPO: model_folder}, certificate=certificate) as mirror:
        raw = connect(mirror)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as slow:
            host = urlsplit(mirror.url).netloc
            slow.sendall(f"GET {WEIGHTS_HF} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            while data := slow.recv(20_000):
                received += data

    assert received.partition(b"\r\n\r\n")[2] == WEIGHTS


def test_the_mirror_closes_with_connections_open(model_folder: Path, certificate: Certificate) -> None:
    context = ssl.create_default_context(cafile=str(certificate.path))
    with contextlib.ExitStack() as stack:
        with Mirror({REPO: model_folder}, certificate=certificate) as mirror:
            idle = stack.enter_context(context.wrap_socket(connect(mirror), server_hostname="127.0.0.1"))
            idle.sendall(f"HEAD / HTTP/1.1\r\nHost: {urlsplit(mirror.url).netloc}\r\n\r\n".encode())
            assert idle.recv(15) == b"HTTP/1.1 200 OK"
            stack.enter_context(connect(mirror))  # says nothing
        with contextlib.suppress(OSError):
            while idle.recv(65536):
                pass


class TestOwnCertificate:
    def test_it_names_the_machine_and_its_key_is_private(self, certificate: Certificate) -> None:
        command = ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", str(certificate.path)]
        names = subprocess.run(command, check=True, capture_output=True, text=True).stdout

        for name in ("DNS:localhost", "IP Address:127.0.0.1", socket.gethostname()):
            assert name in names
        assert stat.S_IMODE(certificate.key.stat().st_mode) == 0o600

    def test_it_stays_until_it_ends_or_another_name_is_needed(self, tmp_path: Path) -> None:
        made = [own_certificate(tmp_path, "127.0.0.1").path.read_bytes() for _ in range(2)]
        other = own_certificate(tmp_path, "mirror.example").path.read_bytes()
        note = json.loads((tmp_path / "names.json").read_text())
        (tmp_path / "names.json").write_text(json.dumps({**note, "until": time.time() + 86_400}))
        after = own_certificate(tmp_path, "mirror.example").path.read_bytes()

        assert made[0] == made[1] != other != after

    @pytest.mark.parametrize("ruin", ["key.pem", "certificate.pem", "names.json"])
    def test_what_was_damaged_is_made_anew(self, tmp_path: Path, ruin: str) -> None:
        own_certificate(tmp_path, "127.0.0.1")
        (tmp_path / ruin).write_bytes(b"garbage")

        own_certificate(tmp_path, "127.0.0.1").context()

    def test_without_openssl_that_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(BadInput, match="openssl") as caught:
            own_certificate(tmp_path / "state", "127.0.0.1")

        assert "--tls-cert" in caught.value.hint

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")

        with pytest.raises(BadInput, match=r"cannot be kept in .*file") as caught:
            own_certificate(tmp_path / "file" / "mirror", "127.0.0.1")

        assert "QWEN3FT_STATE_DIR" in caught.value.hint

    @pytest.mark.parametrize("host", ["\u8ba1\u7b97\u673a", "fe80::1%eth0", "a b", "x,DNS:evil.example", "a\nb", ""])
    def test_a_host_that_no_certificate_can_name_is_left_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
    ) -> None:
        monkeypatch.setattr(socket, "gethostname", lambda: host)

        own_certificate(tmp_path, host).context()

        assert b"evil" not in (tmp_path / "names.json").read_bytes()


@pytest.mark.parametrize("wrong", ["nothing", "a key", "garbage", "a folder"])
def test_a_certificate_that_cannot_be_used_is_refused(
    tmp_path: Path, model_folder: Path, certificate: Certificate, wrong: str
) -> None:
    (tmp_path / "garbage").write_text("x")
    path = {"nothing": tmp_path / "none", "a key": certificate.key, "garbage": tmp_path / "garbage"}.get(
        wrong, tmp_path
    )

    with pytest.raises(BadInput, match="cannot be used"):
        Mirror({REPO: model_folder}, certificate=Certificate(path, certificate.key))


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(tmp_path: Path, certificate: Certificate) -> None:
    locked = tmp_path / "locked.pem"
    command = ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", str(certificate.key), "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)

    with pytest.raises(BadInput, match="cannot be used"):
        Certificate(certificate.path, locked).context()


def test_what_others_set_names_the_certificate_and_the_host_for_older_clients(tmp_path: Path) -> None:
    settings = client_settings("https://10.0.0.5:8900", "abc", tmp_path / "c.pem")

    assert settings["MODELSCOPE_DOMAIN"] == "10.0.0.5:8900"
    assert settings["REQUESTS_CA_BUNDLE"] == settings["SSL_CERT_FILE"] == str(tmp_path / "c.pem")
    assert "MODELSCOPE_DOMAIN" not in client_settings("http://10.0.0.5:8900", "abc")
    assert Path(settings["REQUESTS_CA_BUNDLE"]).name == "c.pem"
