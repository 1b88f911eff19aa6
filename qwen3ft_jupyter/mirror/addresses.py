"""Which addresses reach only this machine, and under which one others reach it."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach what listens on `host`; a name other than localhost is not looked up.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("")
    (True, True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_everywhere(host: str) -> bool:
    """Say whether to listen on `host` is to listen on all addresses: under none of these others find it.

    >>> is_everywhere(""), is_everywhere("0.0.0.0"), is_everywhere("::"), is_everywhere("10.0.0.1"), is_everywhere("a")
    (True, True, True, False, False)
    """
    try:
        return not host or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def reachable(url: str) -> str:
    """Return an address under which other machines probably reach what listens on all of this one's.

    >>> reachable("http://192.0.2.7:8000")
    'http://192.0.2.7:8000'
    """
    parts = urlsplit(url)
    try:
        address = ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return url
    if not address.is_unspecified:
        return url
    host = _outward(address.version) or socket.gethostname()
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{parts.port}"


def outward_addresses() -> list[str]:
    """Return the addresses this machine would send from, those of either version that it has."""
    return [address for address in (_outward(4), _outward(6)) if address]


def _outward(version: int) -> str:
    """Return the address this machine would send from, or "" without a network. A UDP socket sends nothing for it."""
    # two addresses that are kept for documentation
    family, far = (socket.AF_INET, "192.0.2.1") if version == 4 else (socket.AF_INET6, "2001:db8::1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((far, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return ""
