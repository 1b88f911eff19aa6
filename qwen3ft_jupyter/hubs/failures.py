"""What went wrong on the wire, as errors of ours. Messages name hosts only: addresses may hold signatures."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin, urlsplit

from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationValueError,
    NameResolutionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from qwen3ft_jupyter.errors import HubError, HubUnreachable, SourceFailed
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MESSAGES = {
    "name-lookup": (
        Message("{host}: the name cannot be looked up."),
        Message("Is there a network? Behind a proxy, set HTTPS_PROXY."),
    ),
    "refused": (
        Message("{host} refuses connections."),
        Message("Is a firewall or proxy in between? If you have set the address yourself, check it."),
    ),
    "timeout": (
        Message("{host} cannot be connected to."),
        Message("Is there a network? Behind a proxy, set HTTPS_PROXY."),
    ),
    "silent": (Message("{host} took the connection but does not answer."), Message("Try again in a few minutes.")),
    "tls": (
        Message("{host}: its certificate is not trusted."),
        Message("Behind a company proxy, set REQUESTS_CA_BUNDLE to its certificate file; otherwise check the clock."),
    ),
    "handshake": (
        Message("{host} does not complete a secure connection."),
        Message("If you have set the address yourself: is it http or https?"),
    ),
    "proxy": (
        Message("{host}: the proxy does not let the connection through."),
        Message("Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY."),
    ),
    "address": (Message("{host}: the address is malformed."), Message("Check the endpoint settings.")),
    "garbled": (
        Message("{host} answers with something that is not HTTP."),
        Message("If you have set the address yourself: is it http or https?"),
    ),
    "reset": (Message("{host} broke off the connection."), Message("Try again.")),
}


_ABOUT_ADDRESSES = frozenset({"name-lookup", "refused", "timeout", "handshake", "garbled", "address"})


def host_of(url: str) -> str:
    """Return host and port of `url` as a person writes them.

    >>> host_of("https://user:secret@hub.example:443/a?token=1")
    'hub.example'
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "the server"
    host = parts.hostname or "the server"
    return host if port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f"{host}:{port}"


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port: what credentials are bound to."""
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(parts.scheme.lower())


def redirect_target(url: str, location: str) -> str:
    """Return where a redirect from `url` leads.

    Raises:
        HubError: It leads to something that is not HTTP, or from https to http.
    """
    try:
        target, _ = urldefrag(urljoin(url, location))
        parts = urlsplit(target)
        port = parts.port
    except ValueError as error:
        raise HubError("{host} redirects to a malformed address.", host=host_of(url)) from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise HubError("{host} redirects to something that is not a web address.", host=host_of(url))
    if parts.scheme == "http" and urlsplit(url).scheme == "https":
        raise HubError(
            "{host} redirects from https to http.",
            hint="Nothing was sent there. If this network has a login page, open it in a browser first.",
            host=host_of(url),
        )
    if parts.username is None and parts.password is None:
        return target
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return parts._replace(netloc=host if port is None else f"{host}:{port}").geturl()


def unreachable(url: str, error: BaseException, *, cause: str = "") -> HubUnreachable:
    """Return the error for a request to `url` that got no answer; its cause is told by `error` if it is not given."""
    cause = cause or cause_of(error)
    message, hint = _MESSAGES[cause]
    return HubUnreachable(message, hint=hint, details={"cause": cause}, host=host_of(url))


_STORE_HINT = Message(
    "{hub} keeps its files there. Is a firewall or proxy in between? Otherwise try again later, or the other hub."
)


def as_store(error: HubUnreachable, url: str, hub_url: str) -> HubUnreachable:
    """Return the error for a store that a hub has sent us to: nobody has typed its address."""
    if url == hub_url or origin_of(url) == origin_of(hub_url) or error.details.get("cause") not in _ABOUT_ADDRESSES:
        return error
    hint = Message(_STORE_HINT, hub=host_of(hub_url))
    return HubUnreachable(error.message, hint=hint, details=error.details)


def broken(url: str, error: BaseException) -> SourceFailed:
    """Return the error for a body from `url` that did not arrive to its end."""
    cause = "silent" if isinstance(error, (ReadTimeoutError, TimeoutError)) else "reset"
    return SourceFailed(
        "{host} went silent." if cause == "silent" else "{host} broke off the transfer.",
        details={"cause": cause},
        host=host_of(url),
    )


def cause_of(error: BaseException) -> str:
    """Return in one word why there was no answer: a key of the messages above."""
    if isinstance(error, ProxyError):
        return "proxy"
    chain = list(_chain(error))
    if any(map(_is_garbled, chain)):
        return "garbled"
    if any(isinstance(link, OSError) and link.errno == errno.ECONNREFUSED for link in chain):
        return "refused"
    return next((cause for cause, kinds in _CAUSES if any(isinstance(link, kinds) for link in chain)), "reset")


def _is_garbled(link: BaseException) -> bool:
    """Return whether an answer was no HTTP; an HTTPException that is an OSError stands for a closed connection."""
    return isinstance(link, http.client.HTTPException) and not isinstance(link, OSError)


_CAUSES: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
    ("tls", (ssl.SSLCertVerificationError,)),  # before "address": it is a ValueError
    ("reset", (ssl.SSLEOFError, ssl.SSLZeroReturnError)),  # broken off in the handshake: passes
    ("handshake", (SSLError, ssl.SSLError)),
    ("name-lookup", (NameResolutionError, socket.gaierror)),
    ("silent", (ReadTimeoutError,)),
    ("timeout", (ConnectTimeoutError, TimeoutError)),
    ("address", (LocationValueError, ValueError)),
)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(8):
        if link is None:
            return
        yield link
        yield from (argument for argument in link.args if isinstance(argument, BaseException))
        link = link.__cause__ or link.__context__
