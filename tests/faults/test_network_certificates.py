"""Certificates that are trusted and name the right host, at the wrong time."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import HubUnreachable
from tests.faults.loopback import SIZE, Stage

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[ca]
default_ca = ours
[ours]
database = index.txt
serial = serial.txt
new_certs_dir = .
default_md = sha256
policy = names
copy_extensions = copy
[names]
commonName = supplied
"""


def make_certificate(folder: Path, first: str, last: str) -> Path:
    """Make a certificate for 127.0.0.1 with its key, valid between two times; only `openssl ca` can set both."""
    (folder / "ca.cnf").write_text(CONFIG, "utf-8")
    (folder / "index.txt").write_bytes(b"")
    (folder / "serial.txt").write_bytes(b"01\n")
    ask = "openssl req -new -newkey rsa:2048 -nodes -subj /CN=test -addext subjectAltName=IP:127.0.0.1 -out request.pem"
    sign = "openssl ca -batch -config ca.cnf -selfsign -keyfile key.pem -in request.pem -out signed.pem -notext"
    for command in (f"{ask} -keyout key.pem", f"{sign} -startdate {first} -enddate {last}"):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    path = folder / "certificate.pem"
    path.write_bytes((folder / "signed.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return path


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command to make certificates")
@pytest.mark.parametrize(
    ("first", "last", "is_valid"),
    [
        ("20200101000000Z", "20200102000000Z", False),
        ("20900101000000Z", "20900102000000Z", False),
        ("20200101000000Z", "20900101000000Z", True),
    ],
    ids=["expired", "not yet valid", "valid"],
)
def test_a_hub_whose_certificate_is_not_valid_now_is_refused_and_learns_nothing(
    network: None,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    *,
    first: str,
    last: str,
    is_valid: bool,
) -> None:
    certificate = make_certificate(tmp_path_factory.mktemp("tls"), first, last)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    with Stage(tmp_path, tls={"hub": context, "store": context}) as stage:
        if is_valid:
            assert stage.succeeds().bytes_fetched == SIZE
        else:
            stage.fails(HubUnreachable, "certificate is not trusted")
            assert stage.hub.seen == []
