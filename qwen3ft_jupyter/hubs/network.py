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
from qwen3ft_jupyter.paths import is_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""The first that is set names a file (or folder) of certificates to trust instead of the system's."""


def proxy_for(url: str) -> str | None:
    """Return the address of the proxy for `url`, or None to go straight.

    Reads ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` (either case; on macOS and Windows the
    system's settings otherwise). ``NO_PROXY`` may hold networks such as ``10.0.0.0/8``. Loopback is never proxied.

    Raises:
        BadSetting: The proxy is not an HTTP one, or its address is malformed; its password is not shown.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies()
    kind = parts.scheme if proxies.get(parts.scheme) else "all"
    proxy = proxies.get(kind)
    if not proxy or _is_direct(host, parts.netloc.rpartition("@")[2], proxies.get("no", "")):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if proxy.partition("://")[0].lower() not in {"http", "https"}:
        raise BadSetting(
            "The proxy of this environment is not an HTTP proxy.",
            hint="Set HTTPS_PROXY to an http:// address; most SOCKS programs offer one on a port of their own.",
        )
    if not _is_well_formed(proxy):
        raise BadSetting(
            "{variable}={value} is malformed.",
            hint="Write http://user:password@host:port; in the password # is %23, / is %2F, ? is %3F, [ is %5B.",
            variable=_variable_of(kind),
            value=_without_password(proxy),
        )
    return proxy


def _is_well_formed(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed bracket, or a port that is no number
        return False
    return has_host and "@" not in parts.path + parts.query + parts.fragment and not any(map(str.isspace, proxy))


def _variable_of(kind: str) -> str:
    """Return the variable that names the proxy for a scheme, or for "all"."""
    names = (f"{kind}_proxy", f"{kind}_proxy".upper())
    return next((name for name in names if os.environ.get(name)), f"{names[1]} (the system's setting)")


def _without_password(proxy: str) -> str:
    """Return an address that may be malformed so that nothing of a password is in it.

    >>> _without_password("http://me:se#cr:et@proxy:3128"), _without_password("http://proxy:80*")
    ('http://me:***@proxy:3128', 'http://proxy:***')
    """
    scheme, _, rest = proxy.partition("://")
    login, at, host = rest.rpartition("@")
    return f"{scheme}://{login.partition(':')[0]}:***@{host}" if at else f"{scheme}://{host.partition(':')[0]}:***"


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
        if is_folder(path):
            return ssl.create_default_context(capath=str(path))
        return ssl.create_default_context(cafile=str(path))
    except OSError as error:  # ssl.SSLError is one
        raise BadSetting(
            "{variable} names certificates that cannot be read.",
            hint="It must be the path of a PEM file.",
            details={"path": str(path)},
            variable=variable,
        ) from error


def _trust_certifi(context: ssl.SSLContext) -> None:
    """Use certifi's certificates where Python came without any (the macOS installer's), if certifi is there."""
    try:
        import certifi
    except ImportError:
        return
    context.load_verify_locations(certifi.where())
