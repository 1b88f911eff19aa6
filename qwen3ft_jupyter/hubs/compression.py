"""Answers that arrive compressed although none was asked for. Pure."""

from __future__ import annotations

import zlib

from qwen3ft_jupyter.errors import BadListing
from qwen3ft_jupyter.hubs.failures import host_of


def decompressed(body: bytes, encoding: str, url: str, max_bytes: int) -> bytes:
    """Undo the compression some proxies apply although none was asked for, without letting it swell beyond a limit."""
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise BadListing("{host} answered in an encoding that was not asked for.", host=host_of(url))
    machine = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: tell gzip and zlib by their header
    try:
        plain = machine.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise BadListing("{host} answered with bytes that cannot be decompressed.", host=host_of(url)) from error
    if len(plain) > max_bytes:
        raise too_large(url)
    return plain


def too_large(url: str) -> BadListing:
    """Return the error for an answer that no listing can be."""
    return BadListing("{host} answered with far more than a listing can hold.", host=host_of(url))
