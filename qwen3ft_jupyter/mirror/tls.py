"""TLS: a certificate of the mirror's own, for clients that speak https only."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import secrets
import socket
import ssl
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.disk import make_folders, read_json, write_json
from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.mirror.addresses import outward_addresses

if TYPE_CHECKING:
    from collections.abc import Sequence

DAYS: Final = 365
"""For so long a certificate is valid; Apple's systems refuse one for more than 825 days."""
SPARE_S: Final = 30 * 86_400.0
"""One that ends within this is made anew at the next start."""
OPENSSL_LIMIT_S: Final = 60.0
"""Making a key takes a tenth of a second, more on a machine without work to gather chance from."""
HELLO: Final = b"\x16"
"""The first byte of a TLS client (RFC 8446, section 5.1); no request in HTTP begins with it."""
_NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,253}", re.ASCII)
"""A name or address that a certificate can hold; an address with a zone is none that others could use."""
_CONFIG: Final = """
[req]
prompt = no
distinguished_name = subject
x509_extensions = extensions
[subject]
CN = qwen3ft mirror {mark}
[extensions]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, digitalSignature, keyCertSign
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
subjectAltName = {names}
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where a certificate and its key lie."""

    path: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return what a server speaks TLS with. Raises BadInput if one of them cannot be used."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.path, self.key, password=lambda: "")  # never asks on the terminal
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise BadInput(
                "The certificate {path} cannot be used with the key {key}.",
                hint="Both are PEM files, belong together, and have no password.",
                path=self.path,
                key=self.key,
            ) from error
        return context


def own_certificate(folder: Path, host: str) -> Certificate:
    """Return a certificate for every name of this machine, signed by itself; the last one if it still holds.

    Args:
        folder: Where it is kept; the key can be read by its user alone.
        host: A further name or address, under which clients are told to ask.

    Raises:
        BadInput: There is no `openssl` command, it failed, or the folder cannot be written.
    """
    certificate, note = Certificate(folder / "certificate.pem", folder / "key.pem"), folder / "names.json"
    known = {"localhost", "127.0.0.1", "::1", socket.gethostname(), host, *outward_addresses()}
    names = sorted(name for name in known if _NAME.fullmatch(name))
    if _still_holds(certificate, note, names):
        return certificate
    try:
        make_folders(folder)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:  # which only this user can enter
            made = _make(Path(scratch), names)
            os.replace(made.key, certificate.key)
            os.replace(made.path, certificate.path)
        write_json(note, {"names": names, "until": time.time() + DAYS * 86_400})
    except OSError as error:
        raise BadInput(
            "The certificate cannot be kept in {folder}: {reason}.",
            hint="Set QWEN3FT_STATE_DIR to a folder of your own.",
            folder=folder,
            reason=error.strerror,
        ) from error
    return certificate


def speaks_tls(connection: socket.socket) -> bool:
    """Return whether a client begins with TLS, having waited for its first byte. Raises OSError."""
    return socket.socket.recv(connection, 1, socket.MSG_PEEK) in {HELLO, b""}


def _still_holds(certificate: Certificate, note: Path, names: Sequence[str]) -> bool:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, BadInput):
        known = read_json(note)
        if set(names) <= set(known["names"]) and known["until"] - SPARE_S > time.time():
            certificate.context()
            return True
    return False


def _make(folder: Path, names: Sequence[str]) -> Certificate:
    made, config = Certificate(folder / "certificate.pem", folder / "key.pem"), folder / "openssl.cnf"
    # by its subject a certificate is looked for among those that are trusted: several mirrors' may be
    mark = secrets.token_hex(4)
    config.write_text(_CONFIG.format(mark=mark, names=", ".join(map(_alternative, names))), "utf-8")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(DAYS), "-config", str(config)]
    command += ["-keyout", str(made.key), "-out", str(made.path)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=OPENSSL_LIMIT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise BadInput(
            "No certificate could be made: the program openssl is missing, or failed.",
            hint="Install openssl, or give a certificate of your own with --tls-cert and --tls-key.",
        ) from error
    made.key.chmod(0o600)
    return made


def _alternative(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"
