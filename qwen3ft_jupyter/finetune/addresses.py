"""Addresses of hosts as they are written in a config and on a command line. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from qwen3ft_jupyter.finetune.rules import Wrong, read_text_or_none
from qwen3ft_jupyter.messages import Message

_NAME: Final = re.compile(r"(?!-)[\w-]{1,63}(\.(?!-)[\w-]{1,63})*\.?")
"""Of a host; what is longer, or has an empty part, no system looks up."""
_NUMBERS: Final = re.compile(r"[\d.]+")
_BARE: Final = re.compile(r"[0-9a-f:.]+(%\w+)?", re.IGNORECASE)
"""An address of IPv6 without brackets: where its port begins, nobody could say."""
MOST_LETTERS: Final = 253
"""Of the name of a host."""


def read_address(value: object) -> str | None:
    """Return an address as it was written, None for an empty one. Raises ValueError."""
    text = read_text_or_none(value)
    if text is not None:
        split_address(text)
    return text


def split_address(text: str) -> tuple[str, int]:
    """Return host and port; either may be left out, as "" and 0. Raises ValueError.

    >>> split_address("10.0.0.1:29400"), split_address(":29400"), split_address("[fd00::1]:7"), split_address("gpu-1")
    (('10.0.0.1', 29400), ('', 29400), ('fd00::1', 7), ('gpu-1', 0))
    """
    host, colon, port = text.strip().rpartition(":")
    if not colon or text.strip().endswith("]"):
        host, port = text.strip(), "0"
    if ":" in host and _BARE.fullmatch(text.strip()):
        raise Wrong(Message("is no address: one of IPv6 stands in brackets, such as [fd00::1]:29400"))
    if not (port.isascii() and port.isdecimal()) or int(port) > 65535 or not _is_host(host):
        raise ValueError(text)
    return host.removeprefix("[").removesuffix("]"), int(port)


def _is_host(host: str) -> bool:
    """Return whether a host could be called so; what is not given is right, too.

    >>> list(map(_is_host, ("", "gpu-1.lan", "[fd00::1]", "10.0.0.256", "29400", "a..b", "[fd00::1", "$(id)")))
    [True, True, True, False, False, False, False, False]
    """
    try:
        if host.startswith("[") and host.endswith("]"):
            return ipaddress.ip_address(host[1:-1]).version == 6
        if _NUMBERS.fullmatch(host):
            return ipaddress.ip_address(host).version == 4
    except ValueError:
        return False
    return not host or (len(host) <= MOST_LETTERS and _NAME.fullmatch(host) is not None)
