"""Proxies and certificates, as the process environment asks for them."""

from __future__ import annotations

import ipaddress
import os
import ssl
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import PoolManager, ProxyManager

from qwen3ft_jupyter.errors import BadSetting
from qwen3ft_jupyter.paths import is_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""The first that is set names a file (or folder) of certificates to trust instead of the system's."""


MAX_HOSTS = 16
"""Hosts whose connections are kept at the same time."""


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
    given = proxies.get(kind, "").strip()
    if not given or _is_direct(host, parts.netloc.rpartition("@")[2], proxies.get("no", "")):
        return None
    proxy = given if "://" in given else f"http://{given}"
    if not proxy.lower().startswith(("http://", "https://", '"', "'")):
        raise BadSetting(
            "{variable}={value} is not an HTTP proxy.",
            hint="Set HTTPS_PROXY to an http:// address; most SOCKS programs offer one on a port of their own.",
            variable=_variable_of(kind),
            value=_without_password(proxy),
        )
    if not _is_well_formed(proxy):
        raise BadSetting(
            "{variable}={value} is malformed.",
            hint="Write http://user:password@host:port; in the password # is %23, / is %2F, ? is %3F, [ is %5B.",
            variable=_variable_of(kind),
            value=_without_password(given),
        )
    return proxy


def _is_well_formed(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy)
        host = (parts.hostname or "").rstrip(".")
        has_host = bool(host) and ".." not in host and not host.startswith((".", "-")) and parts.port != 0
    except ValueError:  # an unclosed bracket, or a port that is no number
        return False
    is_bare = parts.path in {"", "/"} and not parts.query + parts.fragment
    is_scheme = host in {"http", "https"} or parts.netloc.endswith(":")  # as in http:/proxy:3128
    return has_host and is_bare and not is_scheme and not any(map(str.isspace, proxy)) and proxy[0] not in "\"'"


def _variable_of(kind: str) -> str:
    """Return the variable that names the proxy for a scheme, or for "all"."""
    names = (f"{kind}_proxy", f"{kind}_proxy".upper())
    return next((name for name in names if os.environ.get(name)), f"{names[1]} (the system's setting)")


def _without_password(proxy: str) -> str:
    """Return an address that may be malformed so that nothing of a password is in it.

    >>> _without_password("http://me:se#cr:et@proxy:3128"), _without_password("http://proxy:80*")
    ('http://me:***@proxy:3128', 'http://proxy:***')
    """
    scheme, mark, rest = proxy.rpartition("://") if "@" not in proxy else proxy.partition("://")
    if not mark:
        scheme, rest = "", proxy
    login, at, host = rest.rpartition("@")
    name, colon, _ = (login if at else rest).partition(":")
    return f"{scheme}{mark}{name}{':***' if colon else ''}{at}{host if at else ''}"


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


def make_manager(proxy: str | None, max_connections: int, *, is_tls: bool) -> PoolManager:
    """Return what keeps connections that go straight, or through a proxy.

    Reading the system's certificates takes 20 ms: that is only done where they are needed.
    """
    context = tls_context() if is_tls else None
    manager: PoolManager
    if proxy is None:
        manager = PoolManager(MAX_HOSTS, maxsize=max_connections, ssl_context=context)
    else:
        parts = urlsplit(proxy)
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
        encoded = b64encode(login.encode("utf-8", "surrogateescape")).decode()  # as curl does; urllib3: Latin-1
        manager = ProxyManager(
            proxy,
            MAX_HOSTS,
            maxsize=max_connections,
            ssl_context=context,
            proxy_ssl_context=tls_context() if parts.scheme == "https" else None,
            proxy_headers={"proxy-authorization": f"Basic {encoded}"} if login else None,
        )
    return manager
