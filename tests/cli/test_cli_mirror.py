"""``qwen3ft mirror``: what it says of itself, over https too, and what it leaves out."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.mirror.tls import own_certificate
from tests.cache.making import make_cached
from tests.mirror.conftest import fill

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


def command_of(tmp_path: Path, *options: str) -> tuple[list[str], dict[str, str]]:
    command = [sys.executable, "-m", "qwen3ft_jupyter", "mirror", "--cache-dir", str(tmp_path / "models"), *options]
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "LC_ALL": "C"}
    return command, environment | {"QWEN3FT_STATE_DIR": str(tmp_path / "state"), "HF_HOME": str(tmp_path / "hf")}


@contextlib.contextmanager
def running(tmp_path: Path, *options: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a mirror; what it wrote to stderr follows when it has ended."""
    command, environment = command_of(tmp_path, *options)
    with subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        url = process.stdout.readline().strip()
        try:
            yield url, said
        finally:
            process.send_signal(signal.SIGINT)
            said.append(process.communicate(timeout=120)[1])


def ask(url: str, certificate: Path | None = None) -> object:
    context = ssl.create_default_context(cafile=str(certificate)) if certificate else None
    with urllib.request.urlopen(url, timeout=120, context=context) as response:
        return json.load(response)


def test_models_that_no_download_has_checked_are_named_and_not_served(tmp_path: Path) -> None:
    """Copied there by hand, say; what another tool keeps, and nobody asked for, is nobody's concern here."""
    make_cached(tmp_path / "models", "org/served", {"config.json": b"{}", "model.safetensors": b"w"})
    fill(tmp_path / "models" / "org_copied", {"config.json": b"{}", "model.safetensors": b"w"})
    snapshot = tmp_path / "hf" / "hub" / "models--org--theirs" / "snapshots" / ("a" * 40)
    fill(snapshot, {"config.json": b"{}", "model.safetensors": b"w"})

    with running(tmp_path) as (url, said):
        status = ask(url)

    assert status == {"service": "qwen3ft mirror", "models": 1, "not_served": ["org/copied"]}
    assert "Not served" in said[0]
    assert "org/copied" in said[0]
    assert "qwen3ft download org/copied" in said[0]
    assert "theirs" not in said[0]


def test_models_that_are_not_whole_are_named_with_the_command_that_says_why(tmp_path: Path) -> None:
    make_cached(tmp_path / "models", "org/served", {"config.json": b"{}", "model.safetensors": b"w"})
    make_cached(tmp_path / "models", "org/half", {"config.json": b"{}", "model-00001-of-00002.safetensors": b"w"})

    with running(tmp_path) as (url, said):
        assert ask(url) == {"service": "qwen3ft mirror", "models": 1, "not_served": ["org/half"]}

    assert "not whole in this cache: org/half. qwen3ft list says" in said[0]


def test_nothing_is_said_where_everything_is_served(tmp_path: Path) -> None:
    make_cached(tmp_path / "models", "org/served", {"config.json": b"{}"})

    with running(tmp_path) as (url, said):
        assert ask(url) == {"service": "qwen3ft mirror", "models": 1, "not_served": []}

    assert "Not served" not in said[0]


@needs_openssl
def test_it_speaks_https_with_a_certificate_of_its_own_that_stays(tmp_path: Path) -> None:
    certificates = []
    for _ in range(2):
        with running(tmp_path, "--tls") as (url, said):
            path = tmp_path / "state" / "mirror" / "certificate.pem"
            assert ask(url, path) == {"service": "qwen3ft mirror", "models": 0, "not_served": []}
        certificates.append(path.read_bytes())

    host = url.removeprefix("https://")
    assert url.startswith("https://")
    assert certificates[0] == certificates[1]
    assert str(path) in said[0]
    assert f"MODELSCOPE_DOMAIN={host}" in said[0]
    assert f"HF_ENDPOINT={url}" in said[0]


@needs_openssl
def test_it_takes_a_certificate_that_one_has(tmp_path: Path) -> None:
    own = own_certificate(tmp_path / "own", "127.0.0.1")
    both = tmp_path / "both.pem"
    both.write_bytes(own.path.read_bytes() + own.key.read_bytes())

    for options in (("--tls-cert", str(own.path), "--tls-key", str(own.key)), ("--tls-cert", str(both))):
        with running(tmp_path, *options) as (url, said):
            ask(url, own.path)
        assert "Copy" not in said[0]  # others know whether they trust it


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tls-key", "k.pem"], "--tls-cert"),
        (["--tls-cert", "none.pem"], "cannot be used"),
        (["--tls", "--tls-cert", "none.pem"], "not allowed with"),
    ],
)
def test_what_makes_no_certificate_is_refused(tmp_path: Path, options: list[str], words: str) -> None:
    command, environment = command_of(tmp_path, *options)

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode in {1, 2}
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--port", "99999"],
        ["--port", "-1"],
        ["--host", "a..b"],
        ["--host", "x" * 300],
        ["--host", "http://127.0.0.1"],
        ["--host", "127.0.0.1:80"],
        ["--host", "256.1.1.1"],
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, options: list[str]) -> None:
    command, environment = command_of(tmp_path, *options)

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 1
    assert "bad-input: Cannot listen on" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_may_have_its_brackets(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    with running(tmp_path, "--host", "[::1]") as (url, _):
        assert url.startswith("http://[::1]:")
        assert ask(url) == {"service": "qwen3ft mirror", "models": 0, "not_served": []}


def test_who_serves_others_reads_what_older_clients_need(tmp_path: Path) -> None:
    with running(tmp_path, "--host", "0.0.0.0") as (url, said):  # noqa: S104 - that is the case
        pass

    assert url.startswith("http://")
    assert re.search(r"modelscope up to 1\.37 .* --tls", said[0])
