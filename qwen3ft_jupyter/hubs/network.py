"""Proxies and certificates, as the process environment asks for them."""

from __future__ import annotations

import ipaddress
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from qwen3ft_jupyter.errors import BadSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""The first that is set names a file (or folder) of certificates to trust instead of the system's."""


def proxy_for(url: str) -> str | None:
    """Return the address of the proxy for `url`, or None to go straight.

    Reads ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` (either case; on macOS and Windows the
    system's settings otherwise). ``NO_PROXY`` may hold networks such as ``10.0.0.0/8``. Loopback is never proxied.

    Raises:
        BadSetting: The proxy is not an HTTP one.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or _is_direct(host, parts.netloc.rpartition("@")[2], proxies.get("no", "")):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if urlsplit(proxy).scheme not in {"http", "https"}:
        raise BadSetting(
            "The proxy of this environment is not an HTTP proxy.",
            hint="Set HTTPS_PROXY to an http:// address; most SOCKS programs offer one on a port of their own.",
        )
    return proxy


def _is_direct(host: str, netloc: str, exempt: str) -> bool:
    if host == "localhost" or bool(proxy_bypass(netloc)):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or any(_contains(network.strip(), address) for network in exempt.split(","))


def _contains(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def tls_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Return a context that verifies servers against the certificates the environment names, or the system's.

    Raises:
        BadSetting: A variable names certificates that cannot be read.
    """
    for variable in CA_VARIABLES:
        path = environ.get(variable, "")
        if path:
            return _context_of(variable, Path(path))
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not any((paths.cafile, paths.capath, context.cert_store_stats()["x509_ca"])):
        _trust_certifi(context)
    return context


def _context_of(variable: str, path: Path) -> ssl.SSLContext:
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=str(path))
        return ssl.create_default_context(cafile=str(path))
    except OSError as error:  # ssl.SSLError is one
        raise BadSetting(
            f"{variable} names certificates that cannot be read.",
            hint="It must be the path of a PEM file.",
            details={"path": str(path)},
        ) from error


def _trust_certifi(context: ssl.SSLContext) -> None:
    """Use certifi's certificates where Python came without any (the macOS installer's), if certifi is there."""
    try:
        import certifi
    except ImportError:
        return
    context.load_verify_locations(certifi.where())
